"""Refuse models whose gradients cannot be computed, before their weights are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers.utils.peft_utils import find_adapter_config_file

from gradpipe.errors import ModelError
from gradpipe.models.adapters.wrappers import refuse_wrappers
from gradpipe.models.source import ModelSource, pickled_error


def refuse_adapter(name: str, source: ModelSource) -> None:
    """Raise ModelError if the weights of a hub model are an adapter's.

    ``find_model`` finds the base of an adapter, unless the hub did not answer. transformers would
    load that base by itself.
    """
    if source.kind == "hub" and find_adapter_config_file(source.id, revision=source.revision):
        raise ModelError(
            f"{name} is an adapter, and its settings were not to be had from the hub before: try "
            "again.",
            transient=True,
        )


def refuse_config(name: str, config: Any, plain: bool = False) -> None:
    """Raise ModelError for the configuration of an unsupported model.

    Unsupported are quantized models, encoder-decoder models, pickled weights and models that run
    downloaded code. ``plain``: the weights are dequantized, as those of a loaded GGUF file are.
    """
    method = _quantization_method(config)
    if method and not (plain and method == "gguf"):
        raise ModelError(
            f"The weights of {name!r} are quantized ({method}), and gradients need 16 or 32 bits: "
            "use the model that it was made from, or a .gguf file of it."
        )
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name!r} is an encoder-decoder model ({config.model_type}), and gradpipe needs a "
            "causal language model: use a decoder-only model."
        )
    weights = getattr(config, "transformers_weights", None)
    if weights and not str(weights).endswith((".safetensors", ".safetensors.index.json")):
        raise pickled_error(name)
    if kernel := _downloaded_kernel(config):
        raise ModelError(
            f"The configuration of {name!r} asks for code of another repository ({kernel}), which "
            "gradpipe never runs: remove `attn_implementation` and `experts_implementation` from "
            "its config.json."
        )


def refuse_model(name: str, model: Any) -> None:
    """Raise ModelError for a loaded model that is unsupported.

    Unsupported are models with adapters that are no change of weight matrices, models with weights
    created in inference mode, and what ``refuse_config`` refuses.
    """
    shown_name = name or type(model).__name__
    refuse_wrappers(shown_name, model)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ModelError(
            f"The weights of {shown_name} were created or converted inside torch.inference_mode(), "
            "and torch cannot use such tensors for gradients: load and convert the model outside."
        )
    if hasattr(model, "config"):
        plain = all(parameter.is_floating_point() for parameter in model.parameters())
        refuse_config(shown_name, model.config, plain)


def refuse_missing_weights(name: str, missing: Iterable[str]) -> None:
    """Raise ModelError if weights were missing, which transformers initializes randomly."""
    if names := sorted(missing):
        raise ModelError(
            f"The files of {name!r} are missing {len(names)} of the model's weights ({names[0]} "
            "...): download it again, or use a checkpoint saved as a causal language model."
        )


def _downloaded_kernel(config: Any) -> str | None:
    """Return the repository whose compiled code a configuration asks for, or None.

    transformers would download and run it if the package ``kernels`` is installed.
    """
    for part in (config, *(getattr(config, key, None) for key in config.sub_configs)):
        for setting in ("_attn_implementation", "_experts_implementation"):
            wanted = str(getattr(part, setting, None) or "")
            if "/" in wanted:
                return wanted
    return None


def _quantization_method(config: Any) -> str | None:
    """Return the quantization method in a configuration, or None."""
    for part in (config, config.get_text_config()):
        for key in ("quantization_config", "compression_config"):
            settings = getattr(part, key, None)
            if settings:
                known = settings if isinstance(settings, dict) else vars(settings)
                method = known.get("quant_method") or "bitsandbytes"
                return str(getattr(method, "value", method))
    return None
