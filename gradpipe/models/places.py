"""Find the linear layer of each role in a decoder layer, by the names that implementations use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import starmap
from typing import Any

from torch import nn

from gradpipe.models.roles import ATTENTION, FUSED_GATE_UP, FUSED_QKV, MLP, ROLES, Places

#: Names of layers that only an attention has, not an MLP or a recurrent block.
_QUERY_OR_KEY = re.compile(r"w?(q|k|kv|qk|qkv|query|key)(_\w+)?")


def linear_layers(block: nn.Module) -> dict[str, nn.Module]:
    """Return modules with a two-dimensional weight and no children: Linear, GPT-2's Conv1D, ..."""
    return {
        name: module
        for name, module in block.named_modules()
        if not isinstance(module, nn.Embedding)
        and not any(module.children())
        and len(weight_shape(module)) == 2
    }


def weight_shape(module: Any) -> tuple[int, ...]:
    """Return the shape of a module's weight; empty without a weight."""
    return tuple(getattr(getattr(module, "weight", None), "shape", ()))


def routed_experts(block: nn.Module) -> str | None:
    """Return the path of the experts in a decoder layer, or None if it has none.

    Experts are a list of blocks with the same linear layers, or weights [experts, ..., ...].
    """

    def stacked(name: str, weight: nn.Parameter) -> bool:
        # Square matrices and vectors belong to recurrent blocks, others to attentions by head.
        if weight.ndim != 3 or min(weight.shape[1:]) == 1 or len(name) == 1 or "embed" in name:
            return False
        return weight.shape[1] != weight.shape[2]

    for name, module in block.named_modules():
        if name.endswith("_adapter_list") or "mamba" in name:
            # Adapters for each use of a block that several layers share, and heads of Mamba.
            continue
        listed = isinstance(module, nn.ModuleList) and _alike(module)
        weights = () if hasattr(module, "kernel_size") else module.named_parameters(recurse=False)
        if listed or any(starmap(stacked, weights)):
            return str(name)
    return None


def _alike(blocks: nn.ModuleList) -> bool:
    """Whether blocks have the same linear layers; the parts of a T5 layer are a list, too."""
    shapes = [
        {name: weight_shape(module) for name, module in linear_layers(block).items()}
        for block in blocks
    ]
    return bool(shapes) and bool(shapes[0]) and all(each == shapes[0] for each in shapes)


def attention_places(
    linears: Mapping[str, nn.Module],
    named: Mapping[str, str],
    requested: Iterable[str] = ATTENTION,
) -> Places:
    """Return the places of Q, K, V and O; empty if they cannot be determined.

    ``named`` are the places given by the user; all others must be in one parent module. In an
    attention without separate Q, K and V, only the ``requested`` roles are needed.
    """
    whole = _first(linears, ATTENTION, named, ("q", "k", "v"), FUSED_QKV)
    roles = tuple(role for role in ATTENTION if role in requested)
    # With O, a layer that is named for several roles can be split.
    with_output = tuple(role for role in ATTENTION if role in (*roles, "o"))
    return whole or _part(linears, with_output, named) or _part(linears, roles, named)


def some_attention_places(
    linears: Mapping[str, nn.Module], named: Mapping[str, str], requested: Iterable[str]
) -> Places:
    """Return the places of those ``requested`` roles that an attention has; empty if ambiguous.

    For layers without some of the roles, such as those with the keys and values of another layer.
    """
    single = [_part(linears, (role,), named) for role in ATTENTION if role in requested]
    places = {role: place for found in single for role, place in found.items()}
    parents = {place.rpartition(".")[0] for role, place in places.items() if role not in named}
    return places if len(parents) <= 1 else {}


def _part(
    linears: Mapping[str, nn.Module], roles: tuple[str, ...], named: Mapping[str, str]
) -> Places:
    """Return the places of some roles of an attention without the others; empty if ambiguous."""
    candidates = [
        places
        for siblings in siblings_of_linears(linears)
        if any(_QUERY_OR_KEY.fullmatch(name) for name in siblings)
        and (places := _among_siblings(siblings, roles, named))
    ]
    # With several, such as self-attention and cross-attention, any choice would be a guess.
    found = {tuple(places.items()) for places in candidates}
    if found:
        return dict(found.pop()) if len(found) == 1 else {}
    return {role: named[role] for role in roles} if roles and set(roles) <= set(named) else {}


def mlp_places(linears: Mapping[str, nn.Module], named: Mapping[str, str]) -> Places:
    """Return the places of gate, up and down, or of up and down in an MLP without a gate.

    Empty if they cannot be determined.
    """
    gated = _first(linears, MLP, named, ("gate", "up"), FUSED_GATE_UP)
    if gated and gated["gate"] == gated["up"] and not set(named) & set(MLP):
        fused, down = (linears[gated[role]] for role in ("up", "down"))
        if weight_shape(fused)[0] == weight_shape(down)[1]:
            # As wide as what down reads: there is no gate.
            return {role: gated[role] for role in ("up", "down")}
    return gated or _first(linears, ("up", "down"), named)


def _first(
    linears: Mapping[str, nn.Module],
    roles: tuple[str, ...],
    named: Mapping[str, str],
    fused: tuple[str, ...] = (),
    fused_names: tuple[str, ...] = (),
) -> Places:
    """Return the places of all roles in the first parent that has them, separate or fused."""
    for siblings in siblings_of_linears(linears):
        places = _among_siblings(siblings, roles, named)
        # A named role is elsewhere, so a fused layer would not be the right one.
        if not places and not set(fused) & set(named):
            places = _among_siblings(siblings, roles, named, fused, fused_names)
        if places:
            return places
    return {}


def siblings_of_linears(linears: Mapping[str, nn.Module]) -> list[dict[str, str]]:
    """Group linear layers by parent module: for each, lower-case names with whole paths."""
    parents: dict[str, dict[str, str]] = {}
    for path in linears:
        # Some models wrap each linear layer in a module that has the name.
        parent, _, word = path.removesuffix(".linear").rpartition(".")
        parents.setdefault(parent, {})[word.lower()] = path
    return list(parents.values())


def _among_siblings(
    siblings: Mapping[str, str],
    roles: tuple[str, ...],
    named: Mapping[str, str],
    fused: tuple[str, ...] = (),
    fused_names: tuple[str, ...] = (),
) -> Places:
    """Return the places of all ``roles`` among siblings, or as named; empty if any is missing.

    Roles in ``fused`` share the layer that has one of the ``fused_names``.
    """
    places = {}
    for role in (role for role in roles if role not in named):
        names = fused_names if role in fused else ROLES[role]
        place = next((siblings[name] for name in names if name in siblings), None)
        if place is None:
            return {}
        places[role] = place
    return {**places, **{role: named[role] for role in roles if role in named}}
