"""A check of statistics tables: norms are in the order that holds for every matrix."""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from gradpipe.check import Check

#: Norms of one matrix, largest first: Σσ ≥ √Σσ² ≥ σ₁.
NORMS_DESCENDING = ("nuclear_norm", "frobenius_norm", "spectral_norm")

#: Relative tolerance for sums of single-precision singular values.
NORM_TOLERANCE = 1e-6


def check_norms(table: pl.LazyFrame, statistics: Sequence[str]) -> Check:
    """Check that nuclear ≥ Frobenius ≥ spectral norm, all finite, at every layer and projection.

    Norms that are not among the study's ``statistics`` are not compared.
    """
    norms = [name for name in NORMS_DESCENDING if name in statistics]
    if not norms:
        return Check("norms_in_order", True, "the study computes no norms")
    in_order = [
        pl.col(larger) >= pl.col(smaller) * (1 - NORM_TOLERANCE)
        for larger, smaller in pairwise(norms)
    ]
    finite = [pl.col(name).is_finite() for name in norms]
    sound = pl.all_horizontal(*in_order, *finite).fill_null(False)
    rows, possible = table.select(pl.len(), sound.sum()).collect().row(0)
    return Check(
        "norms_in_order",
        rows == possible,
        f"{possible} of {rows} matrices have finite {' ≥ '.join(norms)}",
        {"matrices": rows, "possible": possible},
    )
