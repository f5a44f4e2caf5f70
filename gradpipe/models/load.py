"""Load models, ready for gradients."""

from __future__ import annotations

import logging
import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from gradpipe.errors import ModelError
from gradpipe.models.adapters.base import tokenizer_source, weights_source, with_adapter_base
from gradpipe.models.adapters.load import with_adapter
from gradpipe.models.auto_class import auto_class
from gradpipe.models.dequantize import dequantized, dequantizing_settings
from gradpipe.models.devices import best_device, input_device
from gradpipe.models.files import refuse_files
from gradpipe.models.find import find_model
from gradpipe.models.fingerprint import fingerprint, pin
from gradpipe.models.gguf import converted_folder
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.quantization import quantization_settings
from gradpipe.models.refusals import refuse_adapter, refuse_config, refuse_missing_weights
from gradpipe.models.silence import quiet_transformers
from gradpipe.models.source import AdapterReading, ModelSource, pickled_error, resolve_model
from gradpipe.models.tokenizer_files import tokenizer_note, unread_sentencepiece
from gradpipe.models.weights_notes import weights_notes
from gradpipe.system.atomic_files import aside_path, sweep_leftovers
from gradpipe.system.failures import Cause, connection_failed, failed_with
from gradpipe.system.user_folders import cache_folder


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A causal language model with its tokenizer, on its device, weights frozen.

    ``device`` computes the input embeddings; other parts may be on other devices. With
    ``checkpointing``, activations are recomputed instead of kept. ``adapter`` says whether the
    gradients at the weights are measured, or those at the factors of the model's adapter.
    """

    name: str
    fingerprint: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: str
    checkpointing: bool = False
    notes: tuple[str, ...] = ()
    adapter: AdapterReading = "merged"

    @property
    def window(self) -> int | None:
        """The longest supported input in tokens; None if unknown."""
        return model_window(self.model)


def model_window(model: Any) -> int | None:
    """Return the longest input that a model supports, in tokens; None if unspecified."""
    return config_window(model.config) if hasattr(model, "config") else None


def configured_embeddings(config: Any) -> int | None:
    """Return the number of embeddings in a transformers configuration, or None."""
    count = getattr(config.get_text_config(), "vocab_size", None)
    return count if isinstance(count, int) and count > 0 else None


def load_config(name: str, revision: str | None = None) -> Any:
    """Return the model's transformers configuration, without weights; raises ModelError."""
    return config_of(with_adapter_base(pin(resolve_model(name, revision))), name)


def config_of(source: ModelSource, name: str) -> Any:
    """Return the transformers configuration at a pinned source; raises ModelError."""
    source = weights_source(source)
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
        # gradpipe wrote its weights.
        return
    with quiet_transformers():
        try:
            refuse_files(name, source, config)
        except ModelError:
            raise
        except Exception as error:
            raise _load_error(name, "model", error) from error


def config_window(config: Any) -> int | None:
    """Return ``model_window`` from a configuration."""
    window = getattr(config.get_text_config(), "max_position_embeddings", None)
    return window if isinstance(window, int) and window > 1 else None


def load_model(
    name: str,
    revision: str | None = None,
    dtype: str = "float32",
    placement: Placement = IN_ONE_PIECE,
    tokenizer: str | None = None,
    *,
    adapter: AdapterReading = "merged",
    base: str | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer, frozen and in evaluation mode.

    Code that comes with a model is never run. An adapter of the peft library is loaded onto its
    base model.

    Args:
        name: A hub id, a local folder, a .gguf file, or ``demo`` (SmolLM2-135M-Instruct).
        revision: A branch, tag or commit of a hub model.
        dtype: Precision of the weights: ``float32``, ``bfloat16`` or ``float16``.
        placement: How the model is laid out on devices; by default, all on the best device.
        tokenizer: The tokenizer to use instead of the model's own: a folder, a .gguf file or a hub
            id. A checkpoint without one takes that of its run's folder.
        adapter: What to measure of an adapter: the gradients at the ``merged`` weights, or those at
            its ``factors`` A and B.
        base: The id of an adapter's base model, by default the one that the adapter names.

    Returns:
        The model with its tokenizer, fingerprint, device and context window.

    Raises:
        ModelError: A file is missing, the model is not a causal language model, its weights cannot
            be dequantized here, or it is an adapter without its base.

    Examples:
        >>> loaded = gp.load_model(model_folder)
        >>> loaded.model.training, loaded.window
        (False, 4096)
    """
    named = None if base is None else (base, None)
    # The weights are checked after the configuration, which may say more on why they are unusable.
    source = find_model(
        name, revision, tokenizer=tokenizer, base=named, adapter=adapter, weights=False
    )
    return load_source(source, name, dtype, placement)


def load_source(
    source: ModelSource,
    name: str,
    dtype: str = "float32",
    placement: Placement = IN_ONE_PIECE,
) -> LoadedModel:
    """Load a model as ``load_model`` does, from a resolved source."""
    source = with_adapter_base(pin(source))
    logging.getLogger(__name__).info("loading %s", name)
    weights = weights_source(source)
    refuse_adapter(name, weights)
    config = config_of(source, name)
    refuse_config(name, config)
    _check_files(name, weights, config)
    tokenizer = tokenizer_of(source, name)
    device = best_device()
    for note in weights_notes(source):
        logging.getLogger(__name__).info("%s: %s", name, note)
    placing = {**placement.settings(device), **dequantizing_settings(config, device)}
    model = _model(
        name,
        weights,
        dtype,
        auto_class(config),
        placing=placing,
        quantization=quantization_settings(config),
    )
    if source.base is not None:
        model = with_adapter(name, model, source)
    if placement.device_map is not None:
        device = str(input_device(model))
    return LoadedModel(
        name=name,
        fingerprint=fingerprint(source),
        model=model,
        tokenizer=tokenizer,
        device=device,
        checkpointing=placement.checkpointing,
        notes=tuple(filter(None, [tokenizer_note(source, name)])),
        adapter=source.adapter,
    )


def _model(
    name: str,
    source: ModelSource,
    dtype: str,
    kind: Any,
    *,
    placing: dict[str, Any],
    quantization: dict[str, Any] | None = None,
) -> Any:
    """Load the model with an auto class, frozen and in evaluation mode.

    ``placing`` are from_pretrained settings. ``quantization`` are the settings of quantized
    weights, which become plain ones.
    """
    place, folder = _place(source), _offload_folder()
    sweep_leftovers(folder.parent)
    with quiet_transformers():
        try:
            loaded: Any = kind.from_pretrained(
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
    if quantization is not None:
        with quiet_transformers():
            try:
                model = dequantized(model, getattr(torch, dtype), quantization)
            # The exceptions of the libraries that quantize weights share no base type.
            except Exception as error:
                raise _load_error(name, "model", error) from error
    model.eval()
    model.requires_grad_(False)
    return model


def _offload_folder() -> Path:
    """Return a path, not created yet, for weights that a model offloads to disk.

    Most offloaded weights are read from the model's own files; only rearranged weights (experts of
    a mixture) are written here. Temporary folders are not used, since they may be in memory.
    """
    return aside_path(cache_folder() / "offload" / "weights")


def load_tokenizer(
    name: str, revision: str | None = None, tokenizer: str | None = None
) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or the one named instead, without weights; raises ModelError."""
    source = find_model(name, revision, tokenizer=tokenizer, weights=False)
    return tokenizer_of(source, name)


def tokenizer_of(source: ModelSource, name: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a pinned source; ``name`` is the model's. Raises ModelError."""
    source = tokenizer_source(source)
    place = _place(source)
    with quiet_transformers():
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                place, revision=source.revision, trust_remote_code=False
            )
        except Exception as error:
            raise unread_sentencepiece(source, name) or _load_error(
                name, "tokenizer", error
            ) from error
    return tokenizer


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
            "runs: use a model with an architecture that transformers itself supports."
        )
    reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return ModelError(
        f"The {what} of {name!r} cannot be loaded ({reason}): gradpipe needs a causal language "
        "model of the transformers library with safetensors weights and its tokenizer.",
        transient=connection_failed(error),
    )
