"""The class of transformers that loads a model, by its configuration."""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
)

#: In order of preference. Models of images or speech have a language model as a part.
_CLASSES = (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSeq2SeqLM)


def reads_text(config: Any) -> bool:
    """Return whether the encoder of an encoder-decoder is that of a language model."""
    return type(config) in AutoModelForSeq2SeqLM._model_mapping


def auto_class(config: Any) -> Any:
    """Return the auto class that loads a language model with this configuration.

    AutoModelForCausalLM if none does, whose own error then names the known configurations.
    """
    if getattr(config, "is_encoder_decoder", False) and reads_text(config):
        # As a causal language model, some would be loaded without their encoder.
        return AutoModelForSeq2SeqLM
    kinds = (kind for kind in _CLASSES if type(config) in kind._model_mapping)
    return next(kinds, AutoModelForCausalLM)
