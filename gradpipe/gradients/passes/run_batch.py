"""Run one batch through the model: losses of its rows and spectra of their gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from gradpipe.gradients.passes.factors import factors_to
from gradpipe.gradients.passes.loss import forward_to_losses
from gradpipe.gradients.passes.span_passes import (
    CurrentSink,
    SpanGradients,
    gradients_of_spans,
    with_whole_spans,
)
from gradpipe.gradients.spectra.inner_products import RowAlignment
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.spectrum import Spectrum
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import Projection


@dataclass(frozen=True)
class RowGradients:
    """One row's mean response loss and the spectrum of each (layer, projection).

    ``alignment`` has inner products and sketches; it is empty if the pool computes none. There may
    be no spectra if the loss is not finite. ``origin`` says where non-finite values first occur.
    ``spans`` are the gradients of the row's spans, in their order. ``token_losses`` are those of
    ``ForwardPass.losses_by_token``.
    """

    loss: float
    spectra: dict[tuple[int, str], Spectrum]
    alignment: RowAlignment = field(default_factory=RowAlignment)
    origin: str | None = None
    spans: tuple[SpanGradients, ...] = ()
    token_losses: Tensor | None = None

    @cached_property
    def norms(self) -> dict[tuple[int, str], float]:
        """‖G‖ of each (layer, projection)."""
        return {place: spectrum.squared_norm**0.5 for place, spectrum in self.spectra.items()}

    @cached_property
    def fault(self) -> str | None:
        """What is wrong with the row, or None; the first faulty gradient of the backward pass."""
        if not math.isfinite(self.loss):
            return f"the loss is not finite ({self.loss})"
        for (layer, projection), spectrum in self.spectra.items():
            if spectrum.fault:
                return f"layer {layer} {projection}: {spectrum.fault}"
        return None

    @property
    def finite(self) -> bool:
        """Whether the loss and every gradient are finite."""
        norms = (spectrum.squared_norm for spectrum in self.spectra.values())
        return math.isfinite(self.loss) and all(map(math.isfinite, norms))

    @property
    def reason(self) -> str | None:
        """Why the row is unusable, or None: its fault, and where it first occurs."""
        return ": ".join(filter(None, (self.fault, self.origin))) or None


def run_batch(
    model: Any, projections: list[Projection], rows: list[TokenRow], pool: SpectraPool
) -> list[RowGradients]:
    """Run forward and backward pass of rows padded on the right; compute spectra meanwhile.

    Rows with spans take one more backward pass per span, from the same forward pass.

    The model must be frozen. A row's results do not depend on the other rows of the batch: a causal
    model's tokens never see the padding after them, padding has no loss, and each row's factors are
    cut to its own tokens. There are no spectra if no loss is finite. If the batch does not fit,
    raises what the device raises (see ``memory.out_of_memory``).
    """
    # Encoder tokens are padded to as many as decoder tokens, or the other way around.
    lengths = [max(len(row.ids), len(row.source)) for row in rows]
    sink = SpectraSink(lengths, projections, pool)
    try:
        losses, by_token, spans = _run_passes(model, projections, rows, pool, sink=sink)
        if not any(map(math.isfinite, losses)):
            return [RowGradients(loss, {}) for loss in losses]
        spectra = sink.finish()
    except BaseException:
        sink.abandon()
        raise
    results = zip(rows, losses, by_token, spectra, sink.alignments, spans, strict=True)
    return [
        RowGradients(
            loss=loss,
            spectra=row_spectra,
            alignment=alignment,
            spans=with_whole_spans(row, row_spans, loss, row_spectra),
            token_losses=token_losses,
        )
        for row, loss, token_losses, row_spectra, alignment, row_spans in results
    ]


class _Passes(NamedTuple):
    """The rows' losses, those of their tokens, and the gradients of their spans."""

    losses: list[float]
    by_token: list[Tensor]
    spans: list[tuple[SpanGradients, ...]]


def _run_passes(
    model: Any,
    projections: list[Projection],
    rows: list[TokenRow],
    pool: SpectraPool,
    *,
    sink: SpectraSink,
) -> _Passes:
    """Run all passes of the rows; ``sink`` gets the factors of their gradients."""
    current = CurrentSink()
    with factors_to(current, model, projections, rows):
        forward = forward_to_losses(model, rows)
        if not forward.usable:
            return _Passes(forward.losses, [], [() for _ in rows])
        # Now, as the losses are there: a copy behind the backward pass would wait for it.
        by_token = forward.losses_by_token(rows)
        spans = gradients_of_spans(forward, rows, projections, pool, current)
        # Last, since it frees the graph on its way.
        current.sink = sink
        forward.hidden.backward(forward.gradient)
    return _Passes(forward.losses, by_token, spans)
