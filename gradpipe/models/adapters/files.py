"""Find an adapter's files, and check them before loading: plain safetensors, and no larger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gradpipe.errors import ModelError
from gradpipe.models.adapters.config import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    pickled_adapter_error,
    read_adapter_config,
)
from gradpipe.models.hub import hub_file
from gradpipe.models.source import ModelSource

#: Kinds of adapters that peft can merge into the weights of their base.
MERGEABLE = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT")
#: Settings of a LoRA whose change of a projection depends on the tokens: there is no merged weight.
_DEPEND_ON_TOKENS = ("alora_invocation_tokens", "arrow_config", "monteclora_config")
#: Settings that would run or download code.
_FOREIGN_CODE = ("megatron_config",)


def adapter_folder(name: str, source: ModelSource) -> Path:
    """Return the local folder with an adapter's settings and weights; downloads those of the hub.

    ``source`` is pinned. Raises ModelError if there are no safetensors weights.
    """
    if source.kind == "folder":
        folder, weights = Path(source.id), Path(source.id) / ADAPTER_WEIGHTS
    else:
        config, downloaded = (hub_file(source, file) for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
        if config is None or downloaded is None:
            raise pickled_adapter_error(name)
        folder, weights = config.parent, downloaded
    if not weights.is_file():
        raise pickled_adapter_error(name)
    return folder


def adapter_shapes(name: str, folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an adapter's weights by name, from the header of their file."""
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as tensors:
            names = list(tensors.keys())
            return {key: tuple(tensors.get_slice(key).get_shape()) for key in names}
    except SafetensorError as error:
        raise ModelError(
            f"The weights of the adapter {name} cannot be read ({ADAPTER_WEIGHTS}: {error}): save "
            "or download it again."
        ) from error


def refuse_adapter_files(name: str, folder: Path, reading: str) -> None:
    """Raise ModelError for an adapter that cannot be merged, or whose rank its files do not fit.

    ``reading`` is what is measured of it; only a LoRA has the two ``factors``.
    """
    settings = read_adapter_config(name, folder / ADAPTER_CONFIG)
    kind = str(settings.get("peft_type"))
    if kind not in MERGEABLE:
        raise ModelError(
            f"{name} is an adapter of the kind {kind}, which is not a change of weight matrices "
            f"that gradpipe can merge: use one of the kinds {', '.join(MERGEABLE)}."
        )
    if reading == "factors" and kind != "LORA":
        raise ModelError(
            f"{name} is an adapter of the kind {kind}, and only LORA has the factors A and B: "
            "remove `adapter: factors` (or --adapter)."
        )
    for setting in (*_DEPEND_ON_TOKENS, *_FOREIGN_CODE):
        if settings.get(setting):
            raise ModelError(
                f"The adapter {name} has the setting {setting!r}, for which it has no merged "
                "weights: use an adapter without it."
            )
    largest = max(
        (size for shape in adapter_shapes(name, folder).values() for size in shape), default=0
    )
    if any(rank > largest for rank in _ranks(settings)):
        raise ModelError(
            f"The settings of the adapter {name} ask for a rank of {max(_ranks(settings))}, and no "
            f"matrix in its {ADAPTER_WEIGHTS} is that large: save or download it again."
        )


def _ranks(settings: Mapping[str, Any]) -> list[int]:
    pattern = settings.get("rank_pattern")
    ranks = [settings.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    return [rank for rank in ranks if isinstance(rank, int)]
