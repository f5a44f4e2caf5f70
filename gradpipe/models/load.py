"""A model in memory, ready for gradients."""

from __future__ import annotations

import logging
import shutil
import uuid
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradpipe.errors import ModelError
from gradpipe.models.files import refuse_files
from gradpipe.models.fingerprint import fingerprint, pin
from gradpipe.models.gguf import converted_folder
from gradpipe.models.placement import IN_ONE_PIECE, Placement, input_device
from gradpipe.models.refusals import refuse_adapter, refuse_config, refuse_missing_weights
from gradpipe.models.silence import quiet_transformers
from gradpipe.models.source import ModelSource, pickled_error, resolve_model
from gradpipe.system.atomic_files import is_gone, process_name
from gradpipe.system.failures import Cause, connection_failed, failed_with
from gradpipe.system.user_folders import cache_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model with its tokenizer, on its device, weights frozen.

    ``device`` is where its input embeddings are computed; other parts may be elsewhere.
    ``checkpointing``: activations are computed twice rather than kept.
    """

    name: str
    fingerprint: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: str
    checkpointing: bool = False

    @property
    def window(self) -> int | None:
        """The longest input the model was made for, in tokens; None if unknown."""
        return model_window(self.model)


def model_window(model: Any) -> int | None:
    """The longest input a model was made for, in tokens; None if unspecified."""
    return _config_window(model.config) if hasattr(model, "config") else None


def load_window(name: str, revision: str | None = None) -> int | None:
    """As ``model_window``, from the model's configuration alone; raises ModelError."""
    return _config_window(load_config(name, revision))


def load_config(name: str, revision: str | None = None) -> Any:
    """The model's configuration alone, as the transformers library has it; raises ModelError."""
    return _config(name, pin(resolve_model(name, revision)))


def _config(name: str, source: ModelSource) -> Any:
    from transformers import AutoConfig

    place = _place(source)
    with quiet_transformers():
        try:
            return AutoConfig.from_pretrained(
                place, revision=source.revision, trust_remote_code=False
            )
        except Exception as error:
            raise _load_error(name, "configuration", error) from error


def _check_files(name: str, source: ModelSource, config: Any) -> None:
    if source.kind == "gguf":
        # Its weights come from our own conversion.
        return
    with quiet_transformers():
        try:
            refuse_files(name, source, config)
        except ModelError:
            raise
        except Exception as error:
            raise _load_error(name, "model", error) from error


def _config_window(config: Any) -> int | None:
    window = getattr(config.get_text_config(), "max_position_embeddings", None)
    return window if isinstance(window, int) and window > 1 else None


def load_model(
    name: str,
    revision: str | None = None,
    dtype: str = "float32",
    placement: Placement = IN_ONE_PIECE,
) -> LoadedModel:
    """Load a causal language model and its tokenizer, frozen and in evaluation mode.

    Code that comes with a model is never run.

    Args:
        name: A hub id, a local folder, a .gguf file, or ``demo`` (SmolLM2-135M-Instruct).
        revision: A branch, tag or commit of a hub model.
        dtype: Precision of the weights: ``float32``, ``bfloat16`` or ``float16``.
        placement: How the model is laid out in memory; by default whole, on the best device.

    Returns:
        The model with its tokenizer, fingerprint, device and context window.

    Raises:
        ModelError: A file is missing, or the model is not a causal language model with plain
            weights.

    Examples:
        >>> loaded = gp.load_model(model_folder)
        >>> loaded.model.training, loaded.window
        (False, 4096)
    """
    return load_source(resolve_model(name, revision), name, dtype, placement)


def load_source(
    source: ModelSource,
    name: str,
    dtype: str = "float32",
    placement: Placement = IN_ONE_PIECE,
) -> LoadedModel:
    """As ``load_model``, from a source that is already resolved."""
    source = pin(source)
    logging.getLogger(__name__).info("loading %s", name)
    refuse_adapter(name, source)
    config = _config(name, source)
    refuse_config(name, config)
    _check_files(name, source, config)
    tokenizer = _tokenizer(name, source)
    device = best_device()
    model = _model(name, source, dtype, placement.settings(device))
    if placement.device_map is not None:
        device = str(input_device(model))
    return LoadedModel(name, fingerprint(source), model, tokenizer, device, placement.checkpointing)


def _model(name: str, source: ModelSource, dtype: str, placing: dict[str, Any]) -> Any:
    """The model with its weights where ``placing`` says, frozen and in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM

    place, folder = _place(source), _offload_folder()
    _sweep(folder.parent)
    with quiet_transformers():
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                place,
                revision=source.revision,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                offload_folder=str(folder),
                **placing,
            )
        # The exceptions that damaged or foreign files cause in the loaders share no base type.
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _load_error(name, "model", error) from error
    model, report = loaded
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    refuse_missing_weights(name, report["missing_keys"])
    model.eval()
    model.requires_grad_(False)
    return model


def _offload_folder() -> Path:
    """A folder, not made yet, for weights that a model keeps on the disk.

    Most are read from the model's own files; only those that have to be rearranged (a mixture's
    experts) are written, and not in a temporary folder, which may be in memory.
    """
    return cache_folder() / "offload" / f"{process_name()}.{uuid.uuid4().hex}"


def _sweep(offloads: Path) -> None:
    """Delete weights that killed processes on this machine left on disk."""
    for folder in offloads.glob("*"):
        if is_gone(folder.name.partition(".")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The model's tokenizer alone; raises ModelError if loading fails."""
    return _tokenizer(name, pin(resolve_model(name, revision)))


def _tokenizer(name: str, source: ModelSource) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    place = _place(source)
    with quiet_transformers():
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                place, revision=source.revision, trust_remote_code=False
            )
        except Exception as error:
            raise _load_error(name, "tokenizer", error) from error
    return tokenizer


def best_device() -> str:
    """Return ``cuda`` or ``mps`` if available, else ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _place(source: ModelSource) -> str:
    """Return the argument for from_pretrained: a folder or a hub id."""
    return str(converted_folder(Path(source.id))) if source.kind == "gguf" else source.id


def _load_error(name: str, what: str, error: Exception) -> ModelError:
    text = str(error).strip()
    if failed_with(error, Cause.NO_SAFETENSORS):
        return pickled_error(name)
    if failed_with(error, Cause.CUSTOM_CODE):
        return ModelError(
            f"The {what} of {name!r} needs custom code that comes with it, which gradpipe never "
            "runs: take a model of a kind that the transformers library has itself."
        )
    reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return ModelError(
        f"The {what} of {name!r} cannot be loaded ({reason}): gradpipe needs a causal language "
        "model of the transformers library with safetensors weights and its tokenizer.",
        transient=connection_failed(error),
    )
