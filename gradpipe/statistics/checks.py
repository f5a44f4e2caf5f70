"""Whether a statistics table is possible at all: norms in the order that any matrix has them."""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from gradpipe.check import Check

#: Norms of one matrix, largest first: Σσ ≥ √Σσ² ≥ σ₁.
ORDER = ("nuclear_norm", "frobenius_norm", "spectral_norm")

#: Relative slack for sums of single-precision singular values.
SLACK = 1e-6


def check_norms(statistics: pl.LazyFrame, names: Sequence[str]) -> Check:
    """Nuclear ≥ Frobenius ≥ spectral, each of them finite, at every layer and projection.

    ``statistics`` is the table of ``statistics_table``; norms that are not among the study's
    statistics, ``names``, are left out of the comparison.
    """
    norms = [name for name in ORDER if name in names]
    if not norms:
        return Check("norms_in_order", True, "the study has none of the norms")
    in_order = [
        pl.col(larger) >= pl.col(smaller) * (1 - SLACK) for larger, smaller in pairwise(norms)
    ]
    finite = [pl.col(name).is_finite() for name in norms]
    sound = pl.all_horizontal(*in_order, *finite).fill_null(False)
    rows, possible = statistics.select(pl.len(), sound.sum()).collect().row(0)
    return Check(
        "norms_in_order",
        rows == possible,
        f"{possible} of {rows} matrices have finite {' ≥ '.join(norms)}",
        {"matrices": rows, "possible": possible},
    )
