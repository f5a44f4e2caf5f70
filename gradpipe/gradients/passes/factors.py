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
from gradpipe.models.evaluation import evaluation
from gradpipe.models.projections import Projection

#: Called once per projection during the backward pass, with X [rows, T, d_in] and
#: D [rows, T, d_out]; for experts with X and D of the tokens that reached one, and their Routing.
Sink = Callable[..., None]


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
def factors_to(sink: Sink, model: Any, projections: list[Projection]) -> Iterator[None]:
    """While open, each backward pass through ``model`` passes all factors to ``sink``.

    Factors arrive from the last layer to the first and are dropped as soon as ``sink`` returns.
    """
    with ExitStack() as stack:
        batch: list[int] = []

        def start(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # The graph starts at the output of the embedding.
            output.requires_grad_(True)
            batch[:] = output.shape[:2]

        stack.callback(model.get_input_embeddings().register_forward_hook(start).remove)
        routed = [p for p in projections if p.experts is not None]
        inside = [p for p in projections if p.inside]
        stack.enter_context(expert_factors(sink, routed, batch))
        stack.enter_context(router_factors(partial(_take, sink, batch), inside))
        whole = [p for p in projections if p.experts is None and not p.inside]
        for module in {id(p.module): p.module for p in whole}.values():
            fused = [p for p in whole if p.module is module]
            stack.callback(module.register_forward_hook(_hook(fused, sink, batch)).remove)
        yield


def _take(sink: Sink, batch: list[int], projection: Projection, x: Tensor, output: Tensor) -> None:
    """Pass X and the gradient of one product to ``sink`` in the backward pass."""
    _hook([projection], sink, batch)(projection.module, (x,), output)


def _hook(projections: list[Projection], sink: Sink, batch: list[int]) -> Callable[..., None]:
    """Return a forward hook for the module of ``projections``; ``batch`` is [rows, T]."""

    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # With checkpointing, the first run of a layer has no graph.
        if not output.requires_grad:
            return
        x = _by_row(projections[0], inputs[0].to(output.device), batch)

        def backward(gradient: Tensor) -> None:
            for projection in projections:
                d = projection.columns.take(gradient)
                sink(projection, x, _by_row(projection, d, batch))

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
