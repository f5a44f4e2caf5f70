"""Gradient checkpointing: each decoder layer is computed again when the backward pass reaches it.

Between the two only the layer's inputs are kept. transformers has its own, but it acts on modules
in training mode alone, where some layers drop out activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.models.projections import Projection


@contextmanager
def checkpointed(model: nn.Module, projections: list[Projection]) -> Iterator[None]:
    """While open, a pass keeps the inputs of each decoder layer, and one layer's activations.

    A layer runs without a graph first and with one in the backward pass, so that hooks that look at
    ``requires_grad`` see it once; the numbers are the same.
    """
    layers = decoder_layers(model, projections)
    with replaced_forwards({layer: _twice(layer.forward) for layer in layers}):
        yield


def decoder_layers(model: nn.Module, projections: list[Projection]) -> list[Any]:
    """The blocks that ``projections`` are in, and those between them that have none.

    A block is the largest module that holds projections of one layer only; where there is one
    layer, there is nothing to gain, and the list is empty.
    """
    paths: dict[int, set[str]] = {}
    for projection in projections:
        paths.setdefault(projection.layer, set()).add(projection.path)
    if len(paths) < 2:
        return []
    lists = {_parent(paths[layer], paths) for layer in paths}
    return [layer for path in sorted(lists) for layer in model.get_submodule(path).children()]


def _parent(layer: set[str], layers: dict[int, set[str]]) -> str:
    """The path of the module whose child is the largest that holds this layer's paths alone."""
    parts = min(layer).split(".")
    others = [path for paths in layers.values() if paths != layer for path in paths]
    depth = next(
        depth
        for depth in range(1, len(parts) + 1)
        if not any(other.split(".")[:depth] == parts[:depth] for other in others)
    )
    return ".".join(parts[: depth - 1])


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A layer's forward without a graph, and again with one when a gradient arrives."""

    def run(*inputs: Any, **settings: Any) -> Any:
        # A gradient reaches what is given by position only.
        named = [
            name
            for name, value in settings.items()
            if isinstance(value, torch.Tensor) and value.requires_grad
        ]

        def layer(*given: Any) -> Any:
            tensors = dict(zip(named, given[len(inputs) :], strict=True))
            return forward(*given[: len(inputs)], **{**settings, **tensors})

        # The other kind stops its second run at the last tensor that the backward pass needs, by an
        # exception: weights that a hook would take out of memory behind it stay there.
        return checkpoint(
            layer,
            *inputs,
            *(settings[name] for name in named),
            use_reentrant=True,
            preserve_rng_state=False,
        )

    return run
