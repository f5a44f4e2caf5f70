"""Gradient factors by hooks: X at a projection's inputs, D at its outputs, every weight frozen.

The weight gradient G = DᵀX is never formed by the backward pass, which therefore skips a third of
its arithmetic and all of the gradients' memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from gradpipe.models.projections import Projection

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Called once a projection as the backward pass reaches it, with X [rows, T, d_in] and D [rows, T,
#: d_out].
Sink = Callable[[Projection, "Tensor", "Tensor"], None]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode with no weight asking for a gradient; as it was, afterwards."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    training = model.training
    model.eval()
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
        model.train(training)


@contextmanager
def factors_to(sink: Sink, model: Any, projections: list[Projection]) -> Iterator[None]:
    """While open, each backward pass through ``model`` hands all factors to ``sink``.

    Factors come last layer first and are dropped as soon as ``sink`` returns.
    """
    with ExitStack() as stack:
        # The embedding's output is where the graph starts: nothing below it needs a gradient.
        embedding = model.get_input_embeddings()
        stack.callback(
            embedding.register_forward_hook(lambda _m, _i, out: out.requires_grad_(True)).remove
        )
        for module in {id(p.module): p.module for p in projections}.values():
            of_module = [p for p in projections if p.module is module]
            stack.callback(module.register_forward_hook(_hook(of_module, sink)).remove)
        yield


def _hook(projections: list[Projection], sink: Sink) -> Callable[..., None]:
    def forward(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0]

        def backward(gradient: Tensor) -> None:
            for projection in projections:
                sink(projection, x, gradient[..., projection.outputs])

        output.register_hook(backward)

    return forward
