"""Find the linear layer of each role in a decoder layer, by the names that implementations use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gradpipe.models.roles import ATTENTION, FUSED_GATE_UP, FUSED_QKV, MLP, ROLES, Places


def linear_layers(block: nn.Module) -> dict[str, nn.Module]:
    """Modules with a two-dimensional weight and nothing inside: Linear, GPT-2's Conv1D, ..."""
    return {
        name: module
        for name, module in block.named_modules()
        if not isinstance(module, nn.Embedding)
        and not any(module.children())
        and len(weight_shape(module)) == 2
    }


def weight_shape(module: Any) -> tuple[int, ...]:
    """The shape of a module's weight; empty where it has none."""
    return tuple(getattr(getattr(module, "weight", None), "shape", ()))


def routed_experts(block: nn.Module) -> str | None:
    """Return the path of the experts in a decoder layer, or None if it is no mixture.

    Experts are a list of blocks with linear layers, or weights [experts, ..., ...].
    """

    def stacked(weight: nn.Parameter) -> bool:
        # Square ones are a recurrence's, block by block.
        return weight.ndim == 3 and weight.shape[1] != weight.shape[2]

    for name, module in block.named_modules():
        listed = isinstance(module, nn.ModuleList) and any(map(linear_layers, module))
        weights = () if hasattr(module, "kernel_size") else module.parameters(recurse=False)
        if listed or any(map(stacked, weights)):
            return str(name)
    return None


def attention_places(linears: Mapping[str, nn.Module], named: Mapping[str, str]) -> Places:
    """Return the places of Q, K, V and O; empty if they cannot be determined.

    ``named`` are the roles that are given: the others must lie beside each other in one parent.
    """
    return _first(linears, ATTENTION, named, ("q", "k", "v"), FUSED_QKV)


def mlp_places(linears: Mapping[str, nn.Module], named: Mapping[str, str]) -> Places:
    """Where gate, up and down are, or up and down of an MLP without a gate; else empty."""
    gated = _first(linears, MLP, named, ("gate", "up"), FUSED_GATE_UP)
    return gated or _first(linears, ("up", "down"), named)


def _first(
    linears: Mapping[str, nn.Module],
    roles: tuple[str, ...],
    named: Mapping[str, str],
    fused: tuple[str, ...] = (),
    fused_words: tuple[str, ...] = (),
) -> Places:
    """The places of all these roles in the first parent that has them, apart or fused."""
    for inside in _parents(linears):
        places = _beside(inside, roles, named)
        # The named role lies elsewhere, so a fused layer is not the one to find.
        if not places and not set(fused) & set(named):
            places = _beside(inside, roles, named, fused, fused_words)
        if places:
            return places
    return {}


def _parents(linears: Mapping[str, nn.Module]) -> list[dict[str, str]]:
    """The linear layers that lie beside each other: last words, in lower case, to whole paths."""
    parents: dict[str, dict[str, str]] = {}
    for path in linears:
        parent, _, word = path.rpartition(".")
        parents.setdefault(parent, {})[word.lower()] = path
    return list(parents.values())


def _beside(
    inside: Mapping[str, str],
    roles: tuple[str, ...],
    named: Mapping[str, str],
    fused: tuple[str, ...] = (),
    fused_words: tuple[str, ...] = (),
) -> Places:
    """Return the places of all unnamed ``roles`` among neighbors; empty if any is missing.

    Roles in ``fused`` share the layer that ``fused_words`` name.
    """
    places = {}
    for role in (role for role in roles if role not in named):
        words = fused_words if role in fused else ROLES[role]
        place = next((inside[word] for word in words if word in inside), None)
        if place is None:
            return {}
        places[role] = place
    return {**places, **{role: named[role] for role in roles if role in named}}
