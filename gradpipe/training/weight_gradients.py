"""The gradients that a training accumulated in its weights, one matrix per projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers.pytorch_utils import Conv1D

from gradpipe.models.adapters.wrappers import innermost
from gradpipe.models.projections import Projection


@dataclass(frozen=True)
class WeightGradient:
    """The gradient [d_out, d_in] of one projection's weight, as the training holds it."""

    projection: Projection
    matrix: Tensor


def weight_gradients(projections: Sequence[Projection]) -> Iterator[WeightGradient]:
    """Yield the gradient of each projection whose weight has one; nothing is copied.

    Of a layer that holds several projections, each gets the part of its own outputs.
    """
    for projection in projections:
        gradient = getattr(projection.module.weight, "grad", None)
        if gradient is None:
            continue
        # Conv1D of GPT-2 stores its weight as [d_in, d_out].
        conv1d = isinstance(innermost(projection.module), Conv1D)
        transposed = gradient if conv1d else gradient.mT
        yield WeightGradient(projection, projection.columns.take(transposed).mT)
