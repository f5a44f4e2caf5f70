"""Copies of a model's modules that share its weights, so that several threads can run it at once.

Hooks and replaced forwards are set on modules. On copies of their own, the passes of one thread do
not see those of another.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn

from gradpipe.models.projections import Projection


class Replica(NamedTuple):
    """A copy of a model, without copies of its weights, and the projections in it."""

    model: Any
    projections: list[Projection]


def replicate(model: nn.Module, projections: list[Projection], count: int) -> list[Replica]:
    """Return ``count`` replicas; none if the model is more than its modules, weights and buffers.

    Such are models with hooks, with replaced forwards, or with attributes that cannot be copied,
    and mixtures, whose experts hold functions of their modules.
    """
    places = {module: path for path, module in model.named_modules()}
    if any(map(_is_changed, places)) or not all(_is_inside(p, places) for p in projections):
        return []
    shared = {id(tensor): tensor for module in places for tensor in _tensors(module)}
    try:
        models = [deepcopy(model, dict(shared)) for _ in range(count)]
    except Exception:  # Whatever a foreign class raises: the model then runs alone.
        return []
    return [Replica(copy, _projections_in(copy, projections, places)) for copy in models]


def _is_changed(module: nn.Module) -> bool:
    own = vars(module)
    hooks = (name for name in own if name.endswith("_hooks") and not name.startswith("_state_dict"))
    return "forward" in own or any(own[name] for name in hooks)


def _is_inside(projection: Projection, places: dict[nn.Module, str]) -> bool:
    modules = {projection.module, projection.reads or projection.module}
    return projection.experts is None and modules <= places.keys()


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """The weights, the buffers and the other tensors of a module without its children."""
    own = (vars(module), module._parameters, module._buffers)
    return [value for part in own for value in part.values() if isinstance(value, torch.Tensor)]


def _projections_in(
    copy: nn.Module, projections: list[Projection], places: dict[nn.Module, str]
) -> list[Projection]:
    def counterpart(module: nn.Module) -> nn.Module:
        return copy.get_submodule(places[module])

    return [
        replace(
            projection,
            module=counterpart(projection.module),
            reads=projection.reads and counterpart(projection.reads),
        )
        for projection in projections
    ]
