"""Find the linear layers of all requested roles in one decoder layer, and explain missing ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from gradpipe.errors import ModelError
from gradpipe.models.latent_attention import latent_places
from gradpipe.models.mixtures import experts_error
from gradpipe.models.places import (
    attention_places,
    linear_layers,
    mlp_places,
    routed_experts,
    some_attention_places,
    weight_shape,
)
from gradpipe.models.roles import ATTENTION, CROSS, LATENT, MLP, Places

#: End of a sentence that explains how to name an unknown model's layers.
NAMING = (
    "name them with `layer_names` in the study, as {q: attn.wq, k: attn.wk, ...}, or with "
    "--layer-name q=attn.wq (name a fused layer for each of its roles)."
)
#: Places in BERT's layers, whose projections have several parents.
_APART = {
    "o": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}
#: Paths inside the attention to an encoder's outputs.
_CROSS = re.compile(r"cross_?att|enc(oder)?_?(dec_?)?att", re.IGNORECASE)
#: Attributes of an attention that uses the keys and values of another layer instead of its own.
_SHARED = ("is_kv_shared_layer",)


def places_in_layer(layer: nn.Module, names: tuple[str, ...], named: Mapping[str, str]) -> Places:
    """Return the place of each of the roles ``names`` that a decoder layer has, and of others.

    ``named`` are the places given by the user; only those in this layer are used.
    """
    linears = linear_layers(layer)
    given = {role: place for role, place in named.items() if place in linears}
    # A role that is named is nowhere else.
    wanted = tuple(name for name in names if name not in named or name in given)
    places: Places = {}
    own = {place: module for place, module in linears.items() if not _CROSS.search(place)}
    if set(wanted) & {*ATTENTION, *LATENT}:
        places |= _attention(layer, own, wanted, given)
    if set(wanted) & set(CROSS):
        others = {place: module for place, module in linears.items() if place not in own}
        found = attention_places(others, {})
        places |= {f"cross_{role}": place for role, place in found.items()}
    mlp = set(wanted) & set(MLP)
    if mlp and (mlp & set(given) or not routed_experts(layer)):
        places |= mlp_places(linears, given)
        if not set(places) & set(MLP) and {_APART["up"], _APART["down"]} <= set(linears):
            places |= {role: _APART[role] for role in ("up", "down")}
    places |= {role: given[role] for role in wanted if role in given}
    return {role: place for role, place in places.items() if role not in named or role in given}


def sees_later_tokens(layer: nn.Module) -> bool:
    """Whether a layer says that it is part of an encoder, which attends to later tokens too."""
    return any(getattr(module, "is_decoder", None) is False for module in layer.modules())


def shares_keys(layer: nn.Module) -> bool:
    """Whether an attention in a layer uses the keys and values of another layer."""
    return any(getattr(part, name, None) is True for part in layer.modules() for name in _SHARED)


def missing_error(
    layer_name: str, layer: nn.Module, missing: list[str], places: Places
) -> ModelError:
    """Explain why a decoder layer has no place for some roles; its ``places`` are given."""
    linears = linear_layers(layer)
    if (of_experts := experts_error(layer_name, layer, missing)) is not None:
        return of_experts
    if missing == ["gate"] and "up" in places:
        return ModelError(
            f"{layer_name} has an MLP without a gate ({places['up']}, {places['down']}): remove "
            "gate from `projections`; up and down are supported."
        )
    if set(missing) <= set(LATENT):
        return ModelError(
            f"{layer_name} has no {', '.join(missing)}, which only a latent attention has: remove "
            "them from `projections`."
        )
    return ModelError(
        f"{layer_name} has no projection {', '.join(missing)} under a known name; its linear "
        f"layers are {_listing(linears)}: {NAMING}"
    )


def _attention(
    layer: nn.Module,
    linears: Mapping[str, nn.Module],
    wanted: tuple[str, ...],
    given: Mapping[str, str],
) -> Places:
    latent = latent_places(linears)
    if latent:
        return {**latent, **given}
    roles = tuple(role for role in wanted if role in ATTENTION)
    places = attention_places(linears, given, roles)
    if not places and _APART["o"] in linears:
        places = attention_places(linears, {"o": _APART["o"], **given}, roles)
    places = places or some_attention_places(linears, given, roles)
    if "k" in places and shares_keys(layer):
        return {role: place for role, place in places.items() if role not in ("k", "v")}
    return places


def _listing(linears: Mapping[str, nn.Module], most: int = 30) -> str:
    """List linear layers with their shapes, up to ``most``."""
    shown = [f"{name} {weight_shape(module)}" for name, module in linears.items()]
    more = [f"{len(shown) - most} more"] if len(shown) > most else []
    return ", ".join(shown[:most] + more) or "none"
