"""One effect over many cells: the mean of their log ratios, with its uncertainty.

A cell is a model, benchmark and projection. Benchmarks have different items and are independent.
Models and projections on one benchmark share its items and are resampled together, so the spread
of their sum is what matters. The variances of the benchmarks' sums add up to that of the mean; its
degrees of freedom are those of Welch and Satterthwaite. The result holds for the models and
benchmarks that were run, not for others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.claims.effects import Bound, Effects
from gradpipe.claims.inference.bootstrap import standard_error
from gradpipe.claims.inference.decisions import ValueAndError, decide
from gradpipe.claims.inference.independence import squared_correlations


@dataclass(frozen=True, kw_only=True)
class BenchmarkTotal:
    """Sums over the cells of one benchmark; ``lower`` and ``upper`` with their standard errors."""

    cells: int
    effect: float
    lower: tuple[float, float]
    upper: tuple[float, float]
    degrees_of_freedom: float
    items: int
    #: See gradpipe/claims/inference/independence.py.
    squared_correlations: float


def benchmark_total(
    effects: Sequence[Effects], counted: Sequence[NDArray[np.bool_]]
) -> BenchmarkTotal | None:
    """Sums over the projections of a benchmark's effects that are ``counted``, None without any."""
    if not any(kept.any() for kept in counted):
        return None
    pairs = list(zip(effects, counted, strict=True))
    units = min(int(one.units[kept].min()) for one, kept in pairs if kept.any())

    def total(bounds: Sequence[Bound]) -> tuple[float, float]:
        kept = list(zip(bounds, counted, strict=True))
        resampled = sum(bound.resampled[:, used].sum(1, keepdims=True) for bound, used in kept)
        value = sum(float(bound.value[used].sum()) for bound, used in kept)
        return value, float(standard_error(np.asarray(resampled), units)[0])

    return BenchmarkTotal(
        cells=sum(int(kept.sum()) for kept in counted),
        effect=sum(float(one.effect[kept].sum()) for one, kept in pairs),
        lower=total([one.lower for one in effects]),
        upper=total([one.upper for one in effects]),
        degrees_of_freedom=min(
            float(one.degrees_of_freedom[kept].min()) for one, kept in pairs if kept.any()
        ),
        items=max(int(one.items[kept].max()) for one, kept in pairs if kept.any()),
        squared_correlations=squared_correlations(
            np.hstack(
                [(one.lower.resampled + one.upper.resampled)[:, kept] / 2 for one, kept in pairs]
            ),
            units,
        ),
    )


def combine_totals(
    totals: Sequence[BenchmarkTotal], region: tuple[float, float]
) -> dict[str, float | int | None]:
    """The mean effect over all cells: its log ratios, p-values and number of items."""
    if not totals:
        return dict.fromkeys(("effect", "low", "high", "supported_p", "contradicted_p", "items"))
    cells = sum(total.cells for total in totals)
    free = np.array([_degrees_of_freedom(totals)])

    def mean(ends: Sequence[tuple[float, float]]) -> ValueAndError:
        values, errors = np.array(ends).T
        return np.array([values.sum() / cells]), np.array([np.sqrt((errors**2).sum()) / cells])

    lower, upper = mean([total.lower for total in totals]), mean([total.upper for total in totals])
    decided = decide(lower, upper, free, region)
    return {
        "effect": sum(total.effect for total in totals) / cells,
        "low": float(decided.low[0]),
        "high": float(decided.high[0]),
        "supported_p": float(decided.supported_p[0]),
        "contradicted_p": float(decided.contradicted_p[0]),
        "items": sum(total.items for total in totals),
    }


def combine_layer_cells(cells: pl.DataFrame) -> dict[str, float | int | None]:
    """A claim about each layer over all ``cells`` that can be judged: every one has to hold.

    As for the layers of a cell (see gradpipe/claims/layers.py), the p-value for the claim is the
    largest, and the one against it the smallest, corrected for the number of cells. The log ratio
    is the one farthest from 0, ``low`` and ``high`` are the ends of all cells.
    """
    judged = cells.filter(pl.col("p").is_not_null())
    contradicted = (pl.col("contradicted_p").min() * pl.len()).clip(upper_bound=1.0)
    return judged.select(
        pl.col("effect").sort_by(pl.col("effect").abs()).last(),
        pl.col("low").min(),
        pl.col("high").max(),
        pl.col("supported_p").max(),
        contradicted,
        pl.col("layers").sum(),
        pl.col("outside").sum(),
    ).row(0, named=True)


def _degrees_of_freedom(totals: Sequence[BenchmarkTotal]) -> float:
    variances = np.array([(total.lower[1] ** 2 + total.upper[1] ** 2) / 2 for total in totals])
    free = np.array([total.degrees_of_freedom for total in totals])
    if not variances.any():
        return float(free.sum())
    return float(variances.sum() ** 2 / (variances**2 / free).sum())
