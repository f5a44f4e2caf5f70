"""The types of decoder layers in models that mix softmax attention with other layers."""

from __future__ import annotations

from typing import Any

#: The type of layers with softmax attention in a mixed model, whichever tokens they attend to.
SOFTMAX_ATTENTION = "attention"
#: Types of layers, as configurations of transformers name them, that have no softmax attention.
#: "linear_attention" includes gated DeltaNet and Mamba.
OTHER_TYPES = ("linear_attention", "mamba", "recurrent", "conv", "mlp", "moe")


def layer_types(model: Any, layers: int) -> list[str | None]:
    """The type of each of a model's decoder layers, from its configuration.

    All are None unless the model mixes layers with softmax attention and layers of OTHER_TYPES.
    Full, sliding and chunked attention are all SOFTMAX_ATTENTION.
    """
    types = getattr(text_config(model), "layer_types", None) or []
    others = [name if name in OTHER_TYPES else None for name in types]
    if len(types) != layers or not any(others) or all(others):
        return [None] * layers
    return [other or SOFTMAX_ATTENTION for other in others]


def text_config(model: Any) -> Any:
    """Return the configuration of the text decoder, or None without one."""
    config = getattr(model, "config", None)
    if config is None:
        return None
    if getattr(config, "is_encoder_decoder", False):
        return config.get_text_config(decoder=True)
    return config.get_text_config()
