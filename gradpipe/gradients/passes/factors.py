"""Take gradient factors by hooks: a projection's inputs X and the gradients D at its outputs.

All weights are frozen, so the backward pass never forms the weight gradients G = DᵀX. This saves a
third of the passes' arithmetic and the memory of the gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from gradpipe.errors import ModelError
from gradpipe.models.evaluation import evaluation
from gradpipe.models.projections import Projection

#: Called once per projection during the backward pass, with X [rows, T, d_in] and
#: D [rows, T, d_out].
Sink = Callable[[Projection, Tensor, Tensor], None]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode and freeze all weights; restore both on exit."""
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    with evaluation(model):
        for name in trainable:
            model.get_parameter(name).requires_grad_(False)
        try:
            yield
        finally:
            # By name, since weights offloaded to disk are new objects after each use.
            for name in trainable:
                model.get_parameter(name).requires_grad_(True)


@contextmanager
def factors_to(
    sink: Sink, model: Any, projections: list[Projection], batch: list[int]
) -> Iterator[None]:
    """While open, each backward pass through ``model`` passes all factors to ``sink``.

    ``batch`` is [rows, T]. Factors arrive from the last layer to the first and are dropped as soon
    as ``sink`` returns.
    """
    with ExitStack() as stack:

        def start(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            # The graph starts at the output of the embedding. It is cloned, since a leaf cannot be
            # changed in place, as some models do.
            return output.requires_grad_(True).clone()

        def hook(module: nn.Module, function: Callable[..., Any]) -> None:
            stack.callback(module.register_forward_hook(function).remove)

        hook(model.get_input_embeddings(), start)
        read = {id(p.reads): p.reads for p in projections if p.reads is not None}
        inputs: dict[int, Tensor] = {}
        for number, module in read.items():
            hook(module, _keep_input(inputs, number))
        for module in {id(p.module): p.module for p in projections}.values():
            fused = [p for p in projections if p.module is module]
            hook(module, _hook(fused, sink, batch, inputs))
        yield
        inputs.clear()


def _keep_input(kept: dict[int, Tensor], key: int) -> Callable[..., None]:
    """Return a forward hook that keeps a module's latest input, for projections that read it."""

    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            kept[key] = inputs[0]

    return forward


def _hook(
    projections: list[Projection], sink: Sink, batch: list[int], kept: dict[int, Tensor]
) -> Callable[..., None]:
    """Return a forward hook for the module of ``projections``.

    ``batch`` is [rows, T]; ``kept`` has the latest input of each module that a projection reads.
    """

    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # With checkpointing, the first run of a layer has no graph.
        if not output.requires_grad:
            return
        own = _by_row(projections[0], inputs[0].to(output.device), batch)
        xs = {
            p.name: own
            if p.reads is None
            else _by_row(p, kept[id(p.reads)].to(output.device), batch)
            for p in projections
        }

        def backward(gradient: Tensor) -> None:
            for projection in projections:
                d = projection.columns.take(gradient)
                sink(projection, xs[projection.name], _by_row(projection, d, batch))

        output.register_hook(backward)

    return forward


def _by_row(projection: Projection, values: Tensor, batch: list[int]) -> Tensor:
    """Reshape a layer's values to [rows, T, width]; some models flatten rows and tokens.

    Raises ModelError if the layer does not see each token once.
    """
    shape = [size for size in values.shape[:-1] if size != 1]
    if shape not in ([size for size in batch if size != 1], [math.prod(batch)]):
        raise ModelError(
            f"{projection.path} sees {list(values.shape)} of a batch of {batch} tokens, not each "
            "token once: gradpipe cannot compute its gradient; remove it from `projections`."
        )
    return values.reshape(*batch, -1)
