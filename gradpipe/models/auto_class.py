"""The class of transformers that loads a model, by its configuration."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

#: In order of preference. A multimodal model has its language model as a part.
_CLASSES = (AutoModelForCausalLM, AutoModelForImageTextToText)


def auto_class(config: Any) -> Any:
    """Return the auto class that loads a language model with this configuration.

    AutoModelForCausalLM if none does, whose own error then names the known configurations.
    """
    kinds = (kind for kind in _CLASSES if type(config) in kind._model_mapping)
    return next(kinds, AutoModelForCausalLM)
