"""A model in memory, ready for gradients."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradpipe.errors import ModelError, connection_failed
from gradpipe.models.fingerprint import fingerprint, pin
from gradpipe.models.gguf import converted_folder
from gradpipe.models.quiet import quiet_transformers
from gradpipe.models.source import ModelSource, resolve_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model with its tokenizer, on its device, weights frozen."""

    name: str
    fingerprint: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: str

    @property
    def window(self) -> int | None:
        """The longest input the model was made for, in tokens; None where it does not say."""
        return model_window(self.model)


def model_window(model: Any) -> int | None:
    """The longest input a model was made for, in tokens; None where its configuration is silent."""
    return _config_window(model.config) if hasattr(model, "config") else None


def load_window(name: str, revision: str | None = None) -> int | None:
    """As ``model_window``, from the model's configuration alone; raises ModelError."""
    from transformers import AutoConfig

    source = pin(resolve_model(name, revision))
    place = _place(source)
    with quiet_transformers():
        try:
            config = AutoConfig.from_pretrained(
                place, revision=source.revision, trust_remote_code=False
            )
        except Exception as error:
            raise _load_error(name, "configuration", error) from error
    return _config_window(config)


def _config_window(config: Any) -> int | None:
    window = getattr(config.get_text_config(), "max_position_embeddings", None)
    return window if isinstance(window, int) and window > 1 else None


def load_model(name: str, revision: str | None = None, dtype: str = "float32") -> LoadedModel:
    """Model and tokenizer on the best device there is; remote code is never run.

    ``name`` is a hub id, a local folder, a .gguf file or ``demo``. Raises ModelError where
    something is missing or is no causal language model.
    """
    return load_source(resolve_model(name, revision), name, dtype)


def load_source(source: ModelSource, name: str, dtype: str = "float32") -> LoadedModel:
    """As ``load_model``, from a source that is already resolved."""
    import torch
    from transformers import AutoModelForCausalLM

    source = pin(source)
    logging.getLogger(__name__).info("loading %s", name)
    place = _place(source)
    tokenizer = _tokenizer(name, source)
    device = best_device()
    with quiet_transformers():
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                place,
                revision=source.revision,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        # What a damaged or foreign file makes the loaders raise has no common type.
        except Exception as error:
            raise _load_error(name, "model", error) from error
    model, report = loaded
    _refuse_missing_weights(name, report["missing_keys"])
    model.to(device).eval()
    model.requires_grad_(False)
    return LoadedModel(name, fingerprint(source), model, tokenizer, device)


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The model's tokenizer alone; raises ModelError where it cannot be loaded."""
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
    """``cuda`` or ``mps`` where there is one, else ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _place(source: ModelSource) -> str:
    """What from_pretrained is given: a folder or a hub id."""
    return str(converted_folder(Path(source.id))) if source.kind == "gguf" else source.id


def _refuse_missing_weights(name: str, missing: Iterable[str]) -> None:
    """Raise ModelError where transformers had to make up weights, which it fills with noise."""
    if lacking := sorted(missing):
        raise ModelError(
            f"The files of {name!r} lack {len(lacking)} of the model's weights ({lacking[0]} ...): "
            "download it again, or take a checkpoint that was saved as a causal language model."
        )


def _load_error(name: str, what: str, error: Exception) -> ModelError:
    text = str(error).strip()
    reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return ModelError(
        f"The {what} of {name!r} cannot be loaded ({reason}): gradpipe needs a causal language "
        "model of the transformers library with safetensors weights and its tokenizer.",
        passing=connection_failed(error),
    )
