"""How many attention heads share the columns of Q, K, V and O."""

from __future__ import annotations

from typing import Any

from gradpipe.errors import ModelError
from gradpipe.models.layer_types import text_config

#: The end of every error: what to change.
_CURE = "remove `heads` from the protocol, or --heads"


def count_heads(model: Any, role: str, width: int | None, path: str) -> int:
    """The number of heads of one projection, from the model's configuration.

    ``width`` is that of Q's, K's or V's outputs, or of O's inputs; None if unknown. Keys and values
    have the heads of the configuration's ``num_key_value_heads``, or as many as their width has
    room for, as in multi-query attention. Raises ModelError if number and width do not fit.
    """
    config = text_config(model)
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int) or heads < 1:
        raise ModelError(
            f"The model's configuration has no single number of attention heads: {_CURE}."
        )
    if role in ("k", "v"):
        heads = _key_value_heads(config, heads, width)
    if width is not None and width % heads:
        raise ModelError(
            f"{path} has {width} columns, which do not divide into {heads} heads: {_CURE}."
        )
    return heads


def _key_value_heads(config: Any, heads: int, width: int | None) -> int:
    groups: int = getattr(config, "num_key_value_heads", None) or heads
    size: int = getattr(config, "head_dim", None) or config.hidden_size // heads
    if width is None or width == groups * size:
        return groups
    room = width // size
    return room if room * size == width and heads % room == 0 else groups
