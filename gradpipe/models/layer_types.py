"""The types of decoder layers in models that mix softmax attention with other layers."""

from __future__ import annotations

from typing import Any

from gradpipe.models.layer_list import text_config

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
