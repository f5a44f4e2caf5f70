"""Read the settings of an adapter, which name its base model, without the peft library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError

#: The files that peft's ``save_pretrained`` writes.
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
#: Settings that say where the base is, or how the adapter was last used, and not what it is.
_PLACES = ("base_model_name_or_path", "revision", "inference_mode", "peft_version")


def read_adapter_config(name: str, path: Path) -> dict[str, Any]:
    """Return the settings in an adapter_config.json; raises ModelError if it cannot be read."""
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"The {ADAPTER_CONFIG} of {name} cannot be read ({error}): save the adapter again."
        ) from error
    if not isinstance(settings, dict):
        raise ModelError(
            f"The {ADAPTER_CONFIG} of {name} is not a JSON object: save the adapter again."
        )
    return settings


def base_of_config(name: str, settings: dict[str, Any]) -> tuple[str, str | None]:
    """Return the base model that an adapter names, and its revision; raises ModelError."""
    base, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"The {ADAPTER_CONFIG} of {name} does not name a base model: name a model of the study "
            "as its `base`, or give --base."
        )
    local = Path(base).is_absolute() or Path(base).exists()
    return base, revision if isinstance(revision, str) and revision and not local else None


def settings_of_adapter(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that decide an adapter's outputs, wherever it and its base are."""

    def ordered(value: Any) -> Any:
        # peft writes sets, such as target_modules, in any order.
        is_set = isinstance(value, list) and all(isinstance(part, str) for part in value)
        return sorted(value) if is_set else value

    return {key: ordered(value) for key, value in settings.items() if key not in _PLACES}


def pickled_adapter_error(name: str) -> ModelError:
    """Return the error for an adapter without safetensors weights."""
    return ModelError(
        f"The adapter {name} has no {ADAPTER_WEIGHTS}: save it again with "
        "save_pretrained(folder); pickled weights (adapter_model.bin) are not loaded, since "
        "reading one can run any code."
    )
