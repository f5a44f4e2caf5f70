"""Take gradient factors by hooks: a projection's inputs X and the gradients D at its outputs.

All weights are frozen, so the backward pass never forms the weight gradients G = DᵀX. This saves a
third of the passes' arithmetic and the memory of the gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from gradpipe.errors import ModelError
from gradpipe.gradients.passes.expert_factors import expert_factors, router_factors
from gradpipe.gradients.passes.text_call import decoder_embedding, source_length
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.evaluation import evaluation
from gradpipe.models.projections import Projection
from gradpipe.models.roles import READ_SOURCE

#: Called once per projection during the backward pass, with X [rows, T, d_in] and
#: D [rows, T, d_out]; for experts with X and D of the tokens that reached one, and their Routing.
Sink = Callable[..., None]
#: [rows, T] of the tokens that a module reads, and of the others.
Shapes = tuple[list[int], list[int]]


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
    sink: Sink, model: Any, projections: list[Projection], rows: list[TokenRow]
) -> Iterator[None]:
    """While open, each backward pass of ``rows`` through ``model`` passes all factors to ``sink``.

    In an encoder-decoder, T is the larger number of tokens of encoder and decoder, for projections
    of both: factors are padded with zeros. Factors arrive from the last layer to the first and are
    dropped as soon as ``sink`` returns.
    """
    batch = [len(rows), max(len(row.ids) for row in rows)]
    source = [len(rows), source_length(rows)]
    with ExitStack() as stack:

        def start(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            # The graph starts at the output of the embedding. It is cloned, since a leaf cannot be
            # changed in place, as some models do.
            return output.requires_grad_(True).clone()

        def hook(module: nn.Module, function: Callable[..., Any]) -> None:
            stack.callback(module.register_forward_hook(function).remove)

        hook(decoder_embedding(model), start)
        read = {id(p.reads): p.reads for p in projections if p.reads is not None}
        inputs: dict[int, Tensor] = {}
        for number, module in read.items():
            hook(module, _keep_input(inputs, number))
        routed = [p for p in projections if p.experts is not None]
        inside = [p for p in projections if p.inside]
        stack.enter_context(expert_factors(sink, routed, batch))
        stack.enter_context(router_factors(partial(_take, sink, (batch, source)), inside))
        whole = [p for p in projections if p.experts is None and not p.inside]
        for module in {id(p.module): p.module for p in whole}.values():
            fused = [p for p in whole if p.module is module]
            read_source = fused[0].name in READ_SOURCE
            shapes = (source, batch) if read_source else (batch, source)
            hook(module, _hook(fused, sink, shapes, inputs))
        yield
        inputs.clear()


def _keep_input(kept: dict[int, Tensor], key: int) -> Callable[..., None]:
    """Return a forward hook that keeps a module's latest input, for projections that read it."""

    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            kept[key] = inputs[0]

    return forward


def _take(sink: Sink, shapes: Shapes, projection: Projection, x: Tensor, output: Tensor) -> None:
    """Pass X and the gradient of one product to ``sink`` in the backward pass."""
    _hook([projection], sink, shapes, {})(projection.module, (x,), output)


def _hook(
    projections: list[Projection], sink: Sink, shapes: Shapes, kept: dict[int, Tensor]
) -> Callable[..., None]:
    """Return a forward hook for the module of ``projections``.

    ``kept`` has the latest input of each module that a projection reads.
    """

    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # With checkpointing, the first run of a layer has no graph.
        if not output.requires_grad:
            return
        own = _by_row(projections[0], inputs[0].to(output.device), *shapes)
        xs = {
            p.name: own
            if p.reads is None
            else _by_row(p, kept[id(p.reads)].to(output.device), *shapes)
            for p in projections
        }

        def backward(gradient: Tensor) -> None:
            for projection in projections:
                d = projection.columns.take(gradient)
                sink(projection, xs[projection.name], _by_row(projection, d, *shapes))

        output.register_hook(backward)

    return forward


def _by_row(projection: Projection, values: Tensor, batch: list[int], other: list[int]) -> Tensor:
    """Reshape a layer's values to [rows, T, width]; some models flatten rows and tokens.

    ``batch`` is the expected [rows, T]; with more tokens in ``other``, zeros follow.
    Raises ModelError if the layer does not see each token once.
    """
    shape = [size for size in values.shape[:-1] if size != 1]
    if shape not in ([size for size in batch if size != 1], [math.prod(batch)]):
        raise ModelError(
            f"{projection.path} sees {list(values.shape)} of a batch of {batch} tokens, not each "
            "token once: gradpipe cannot compute its gradient; remove it from `projections`."
        )
    by_row = values.reshape(*batch, -1)
    missing = other[1] - batch[1]
    return nn.functional.pad(by_row, (0, 0, 0, missing)) if missing > 0 else by_row
