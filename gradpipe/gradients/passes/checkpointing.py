"""Gradient checkpointing: the backward pass recomputes each decoder layer from its inputs.

The checkpointing of transformers works in training mode only, where some layers apply dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradpipe.errors import ModelError
from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.models.layer_list import layer_list
from gradpipe.models.layer_places import shares_keys
from gradpipe.models.projections import Projection


@contextmanager
def checkpointed(model: nn.Module, projections: list[Projection]) -> Iterator[None]:
    """While open, passes keep the inputs of each decoder layer and one layer's activations.

    Each layer runs without a graph in the forward pass and with a graph in the backward pass, so
    hooks that check ``requires_grad`` act once. Numbers do not change. Raises ModelError if layers
    use the keys of other layers: computed without a graph, those would pass no gradient on.
    """
    layers = decoder_layers(model, projections)
    if any(map(shares_keys, layers)):
        raise shared_keys_error()
    with replaced_forwards({layer: _recomputed(layer.forward) for layer in layers}):
        yield


def shared_keys_error() -> ModelError:
    """The error for a model whose layers cannot be computed apart from each other."""
    return ModelError(
        "Layers of this model use the keys and values of other layers, so their activations cannot "
        "be recomputed: turn gradient checkpointing off, and use a device that holds all weights."
    )


def decoder_layers(model: nn.Module, projections: list[Projection]) -> list[Any]:
    """Return the modules to checkpoint: the decoder layers, including those without projections.

    A decoder layer is the largest module with projections of one layer only. Empty for a single
    layer, where checkpointing would save nothing.
    """
    paths: dict[int, set[str]] = {}
    for projection in projections:
        paths.setdefault(projection.layer, set()).add(projection.path)
    if len(paths) == 1:
        # Other layers may have no projections.
        layers = list(layer_list(model)[1])
        return layers if len(layers) > 1 else []
    if not paths:
        return []
    lists = {_parent(paths[layer], paths) for layer in paths}
    return [layer for path in sorted(lists) for layer in model.get_submodule(path).children()]


def _parent(layer: set[str], layers: dict[int, set[str]]) -> str:
    """Return the path of the list of layers: the parent of the largest module of one layer only."""
    parts = min(layer).split(".")
    others = [path for paths in layers.values() if paths != layer for path in paths]
    depth = next(
        depth
        for depth in range(1, len(parts) + 1)
        if not any(other.split(".")[:depth] == parts[:depth] for other in others)
    )
    return ".".join(parts[: depth - 1])


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a layer's forward that runs without a graph, and again with one for the gradient."""

    def run(*inputs: Any, **settings: Any) -> Any:
        # Reentrant checkpoints pass gradients to positional arguments only.
        named = [
            name
            for name, value in settings.items()
            if isinstance(value, torch.Tensor) and value.requires_grad
        ]

        def layer(*arguments: Any) -> Any:
            tensors = dict(zip(named, arguments[len(inputs) :], strict=True))
            return forward(*arguments[: len(inputs)], **{**settings, **tensors})

        # Non-reentrant checkpoints end the second run early, by an exception: hooks that would
        # offload weights after the run are then skipped.
        return checkpoint(
            layer,
            *inputs,
            *(settings[name] for name in named),
            use_reentrant=True,
            preserve_rng_state=False,
        )

    return run
