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

from torch import nn

from gradpipe.models.places import siblings_of_linears
from gradpipe.models.roles import LATENT, ROLES, Places

#: Which factor a composed projection reads from; the layer's input is that of the inner factor.
INNER = {"q": "q_a", "k": "kv_a", "v": "kv_a"}
OUTER = {"q": "q_b", "k": "kv_b", "v": "kv_b"}


def latent_places(linears: Mapping[str, nn.Module]) -> Places:
    """Return the places of the factors and of Q, K, V and O; empty without a latent attention.

    The place of a composed projection is that of its outer factor. Q has no factors in some models.
    """
    for siblings in siblings_of_linears(linears):
        factors = {
            role: siblings[name] for role in LATENT for name in ROLES[role] if name in siblings
        }
        if not {"kv_a", "kv_b"} <= set(factors):
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
