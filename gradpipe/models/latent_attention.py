"""Latent attention (MLA): queries, keys and values that are computed from a few latent numbers.

Q is q_b(norm(q_a(x))) or q_proj(x), and K and V are columns of kv_b(norm(kv_a(x))). Part of kv_a's
columns are a rotary key that all heads share. As roles, ``q_a``, ``q_b``, ``kv_a`` and ``kv_b`` are
the weights themselves. ``q``, ``k`` and ``v`` are the composed maps from x to queries, keys without
their rotary part, and values. The norm between the factors makes these maps nonlinear, so there is
no matrix to take a gradient of. Their gradient is with respect to a dense matrix W added to the
map, x → f(x) + W x, at W = 0: DᵀX with the D of the outer factor and the X of the inner one, exact.
Without the norm, it is the gradient with respect to the product of the factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gradpipe.models.layouts import ColumnLayout, OutputColumns
from gradpipe.models.places import siblings_of_linears
from gradpipe.models.roles import LATENT, ROLES, Places

#: Which factor a composed projection reads from; the layer's input is that of the inner factor.
INNER = {"q": "q_a", "k": "kv_a", "v": "kv_a"}
OUTER = {"q": "q_b", "k": "kv_b", "v": "kv_b"}


def columns_by_head(attention: Any, width: int) -> ColumnLayout | None:
    """Return the columns of K and V among the ``width`` outputs of kv_b, as the module says.

    Each head has its keys and behind them its values. None if the module does not say their sizes,
    or if these do not add up. For an attention with sinks, whose columns cannot be observed: there
    even a lone token's attention weight depends on its key.
    """
    keys = getattr(attention, "qk_nope_head_dim", None)
    values = getattr(attention, "v_head_dim", None)
    if not isinstance(keys, int) or not isinstance(values, int) or width % (keys + values):
        return None
    heads = width // (keys + values)
    return {
        "k": OutputColumns(heads, 0, keys),
        "v": OutputColumns(heads, keys, keys + values),
    }


def latent_places(linears: Mapping[str, nn.Module]) -> Places:
    """Return the places of the factors and of Q, K, V and O; empty without a latent attention.

    The place of a composed projection is that of its outer factor. Some models have factors for Q
    only, or for K and V only.
    """
    for siblings in siblings_of_linears(linears):
        factors = {
            role: siblings[name] for role in LATENT for name in ROLES[role] if name in siblings
        }
        if not any({inner, OUTER[role]} <= set(factors) for role, inner in INNER.items()):
            continue
        whole = {
            role: siblings[name] for role in ("q", "o") for name in ROLES[role] if name in siblings
        }
        composed = {role: factors[outer] for role, outer in OUTER.items() if outer in factors}
        return {**factors, **whole, **composed}
    return {}


def inner_place(role: str, places: Places) -> str | None:
    """Return the place of the layer that reads a composed projection's input, or None.

    None if the projection is a weight of its own, such as Q without factors.
    """
    factor = OUTER.get(role)
    composed = factor in places and places.get(role) == places[factor]
    return places.get(INNER[role]) if composed else None
