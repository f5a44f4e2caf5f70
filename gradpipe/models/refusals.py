"""Refuse models whose gradients cannot be computed, before their weights are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers.utils.peft_utils import find_adapter_config_file

from gradpipe.errors import ModelError
from gradpipe.models.source import ModelSource, adapter_error, pickled_error


def refuse_adapter(name: str, source: ModelSource) -> None:
    """Raise ModelError where a source on the hub holds an adapter; folders are checked before."""
    if source.kind == "hub" and find_adapter_config_file(source.id, revision=source.revision):
        raise adapter_error(name)


def refuse_config(name: str, config: Any, plain: bool = False) -> None:
    """Raise ModelError for a model that cannot be taken, by its configuration: one quantised, with
    an encoder, pickled, or computed by code from elsewhere.

    ``plain``: its weights are numbers by now, as those of a GGUF file are once they are loaded.
    """
    method = _quantisation(config)
    if method and not (plain and method == "gguf"):
        raise ModelError(
            f"The weights of {name!r} are quantised ({method}), and a gradient belongs to plain "
            "ones: take the model that it was made from, in 16 or 32 bits, or a .gguf file of it."
        )
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name!r} is an encoder-decoder model ({config.model_type}), and gradpipe needs a "
            "causal language model: take one that is a decoder alone."
        )
    weights = getattr(config, "transformers_weights", None)
    if weights and not str(weights).endswith((".safetensors", ".safetensors.index.json")):
        raise pickled_error(name)
    if kernel := _foreign_kernel(config):
        raise ModelError(
            f"The configuration of {name!r} asks for code from elsewhere ({kernel}), which "
            "gradpipe never runs: take `attn_implementation` and `experts_implementation` out of "
            "its config.json."
        )


def refuse_model(name: str, model: Any) -> None:
    """Raise ModelError for a model in memory that carries adapters or that ``refuse_config`` would.

    What an adapter adds passes beside the projection's weight: the gradient would be that of the
    base model's part alone.
    """
    called = name or type(model).__name__
    if any(type(module).__module__.startswith("peft.") for module in model.modules()):
        raise ModelError(
            f"{called} carries an adapter (peft): merge it with model.merge_and_unload() first."
        )
    if hasattr(model, "config"):
        plain = all(parameter.is_floating_point() for parameter in model.parameters())
        refuse_config(called, model.config, plain)


def refuse_missing_weights(name: str, missing: Iterable[str]) -> None:
    """Raise ModelError where transformers had to make up weights, which it fills with noise."""
    if lacking := sorted(missing):
        raise ModelError(
            f"The files of {name!r} lack {len(lacking)} of the model's weights ({lacking[0]} ...): "
            "download it again, or take a checkpoint that was saved as a causal language model."
        )


def _foreign_kernel(config: Any) -> str | None:
    """The repository whose compiled code a configuration wants, or None.

    transformers would download and run it where the package for that is installed.
    """
    for part in (config, *(getattr(config, key, None) for key in config.sub_configs)):
        for setting in ("_attn_implementation", "_experts_implementation"):
            wanted = str(getattr(part, setting, None) or "")
            if "/" in wanted:
                return wanted
    return None


def _quantisation(config: Any) -> str | None:
    """The method by which a configuration says that its weights are quantised, or None."""
    for part in (config, config.get_text_config()):
        for key in ("quantization_config", "compression_config"):
            settings = getattr(part, key, None)
            if settings:
                known = settings if isinstance(settings, dict) else vars(settings)
                method = known.get("quant_method") or "bitsandbytes"
                return str(getattr(method, "value", method))
    return None
