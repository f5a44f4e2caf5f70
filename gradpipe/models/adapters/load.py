"""Load an adapter onto its base model: merged into the weights, or beside them with its factors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError
from gradpipe.models.adapters.files import adapter_folder, adapter_shapes, refuse_adapter_files
from gradpipe.models.adapters.wrappers import without_shell
from gradpipe.models.devices import offloaded
from gradpipe.models.silence import quiet_transformers
from gradpipe.models.source import ModelSource
from gradpipe.system.extras import missing_package

#: The name of the adapter inside its model.
_ACTIVE = "default"


def with_adapter(name: str, model: Any, source: ModelSource) -> Any:
    """Return ``model``, the base, changed by the adapter at ``source``; its weights are replaced.

    Merged adapters leave a plain model. An adapter whose factors are measured stays beside the
    projections that it changes. Raises ModelError if peft is not installed, if the base is
    offloaded, or if the adapter cannot be loaded or does not fit the base.
    """
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise ModelError(missing_package("peft", f"The adapter {name}")) from error
    assert source.base is not None
    if offloaded(model):
        raise ModelError(
            f"The base model of the adapter {name} does not fit on its devices, and peft loads no "
            "adapter onto weights that are offloaded: use devices with more memory, or merge both "
            "with merge_and_unload() and measure the result."
        )
    folder = adapter_folder(name, source)
    refuse_adapter_files(name, folder, source.adapter)
    _resize_embeddings(model, adapter_shapes(name, folder))
    with quiet_transformers(), warnings.catch_warnings(action="ignore"):
        try:
            settings = PeftConfig.from_pretrained(str(folder))
            settings.inference_mode = True
            wrapped = PeftModel(model, settings, adapter_name=_ACTIVE)
            loaded = wrapped.load_adapter(
                str(folder), _ACTIVE, is_trainable=False, torch_device="cpu"
            )
            _refuse_other_weights(loaded)
            wrapped.eval()
            if source.adapter == "factors":
                adapted = without_shell(wrapped)
            else:
                adapted = wrapped.merge_and_unload()
        # The exceptions that damaged or foreign adapters cause in peft share no base type.
        except Exception as error:
            raise _misfit_error(name, source.base, error) from error
    adapted.requires_grad_(False)
    return adapted.eval()


def _refuse_other_weights(loaded: Any) -> None:
    """Raise ValueError if weights of the adapter are missing in its file, or others are in it."""
    if loaded.missing_keys:
        raise ValueError(f"its file has no {loaded.missing_keys[0]}")
    # Of embeddings that were resized and then trained, peft writes the same weights twice.
    unknown = [key for key in loaded.unexpected_keys if ".modules_to_save." not in key]
    if unknown:
        raise ValueError(f"the base has no place for its {unknown[0]}")


def _resize_embeddings(model: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Give the base as many embeddings as the adapter's file has, if training added tokens."""
    embedding = model.get_input_embeddings()
    path = next((path for path, module in model.named_modules() if module is embedding), "")
    tokens, width = embedding.weight.shape
    saved = {
        shape[0]
        for key, shape in shapes.items()
        if key.startswith(f"base_model.model.{path}.") and key.endswith("weight")
        if len(shape) == 2 and shape[1] == width
    }
    if saved and saved != {tokens}:
        with quiet_transformers():
            model.resize_token_embeddings(max(saved), mean_resizing=False)


def _misfit_error(name: str, base: ModelSource, error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first line of a mismatch of shapes only says that there are some.
    mismatch = next((line for line in lines if line.startswith("size mismatch")), None)
    reason = (mismatch or (lines[0] if lines else type(error).__name__)).rstrip(".")
    return ModelError(
        f"The adapter {name} cannot be loaded onto its base model {Path(base.id).name} ({reason}): "
        "name the base that it was trained on as its `base` in the study, or give --base."
    )
