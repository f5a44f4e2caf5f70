"""One batch through the model: its rows' losses and the spectra of their gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gradpipe.gradients.passes.factors import factors_to
from gradpipe.gradients.passes.loss import backward_of_losses
from gradpipe.gradients.spectra.inner_products import RowAlignment
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.spectrum import Spectrum
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import Projection


@dataclass(frozen=True)
class RowGradients:
    """One row's mean response loss, the spectrum of each (layer, projection), and what the
    gradients have in common (empty where the pool does not compare them).

    Of a loss that is not finite there may be no spectra. ``origin`` says where a row that is not
    finite began to be so.
    """

    loss: float
    spectra: dict[tuple[int, str], Spectrum]
    alignment: RowAlignment = field(default_factory=RowAlignment)
    origin: str | None = None

    @cached_property
    def norms(self) -> dict[tuple[int, str], float]:
        """‖G‖ of each (layer, projection)."""
        return {place: spectrum.squared_norm**0.5 for place, spectrum in self.spectra.items()}

    @cached_property
    def fault(self) -> str | None:
        """What is wrong with the row, or None; of its gradients, the first of the backward pass."""
        if not math.isfinite(self.loss):
            return f"the loss is not finite ({self.loss})"
        for (layer, projection), spectrum in self.spectra.items():
            if spectrum.fault:
                return f"layer {layer} {projection}: {spectrum.fault}"
        return None

    @property
    def finite(self) -> bool:
        """Whether the loss and every gradient are."""
        norms = (spectrum.squared_norm for spectrum in self.spectra.values())
        return math.isfinite(self.loss) and all(map(math.isfinite, norms))

    @property
    def reason(self) -> str | None:
        """Why the row cannot be used, or None: what is wrong, and where it began."""
        return ": ".join(filter(None, (self.fault, self.origin))) or None


def run_batch(
    model: Any, projections: list[Projection], rows: list[TokenRow], pool: SpectraPool
) -> list[RowGradients]:
    """Forward and backward over rows padded on the right; spectra are taken as factors arrive.

    The model must be frozen. A row's loss does not depend on what shares the batch: padding comes
    after everything that a causal model lets a token see, carries no loss, and each row's factors
    are cut to its own tokens. Where no loss is finite there are no spectra. Raises what the device
    raises where the batch does not fit.
    """
    sink = SpectraSink([len(row.ids) for row in rows], projections, pool)
    try:
        with factors_to(sink, model, projections):
            losses = backward_of_losses(model, rows)
        if not any(map(math.isfinite, losses)):
            return [RowGradients(loss, {}) for loss in losses]
        spectra = sink.finish()
    except BaseException:
        sink.abandon()
        raise
    return [
        RowGradients(loss=loss, spectra=row_spectra, alignment=alignment)
        for loss, row_spectra, alignment in zip(losses, spectra, sink.alignments, strict=True)
    ]
