"""Whether an effect lies inside a claim's region: intervals, p-values and Holm's correction.

A claim is supported if an interval lies inside its region, and contradicted if the 95 % interval
lies entirely outside. For a claim that a ratio is larger, both are the 95 % interval, and each
p-value is twice the one-sided p of a t-test, so that p < 0.05 exactly if the interval decides.

A claim that a ratio is not larger than a margin, or within one, is an equivalence. It is supported
by the two one-sided tests of Schuirmann (1987), each at 5 %, or by the only one of them that there
is (non-inferiority). That is a 90 % interval inside the margin, and this interval is reported.
Claims about each layer are decided in gradpipe/claims/layers.py.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL
from gradpipe.claims.values import Array

#: The level of the interval that equals two one-sided tests at 5 %.
EQUIVALENCE_LEVEL = 0.9
#: Log ratios and standard errors up to this are rounding errors.
LOG_ROUNDING = 1e-12

#: A value and its standard error.
ValueAndError = tuple[Array, Array]


@dataclass(frozen=True)
class Decisions:
    """Arrays of one shape: interval ends of the log ratio, and p-values for and against a claim.

    The interval has the level that ``interval_level`` gives.
    """

    low: Array
    high: Array
    supported_p: Array
    contradicted_p: Array


def interval_level(region: tuple[float, float]) -> float:
    """The level of the interval that supports a claim if it lies inside the region.

    0.95, and 0.9 for an equivalence: a region with an upper end.
    """
    return EQUIVALENCE_LEVEL if np.isfinite(region[1]) else CONFIDENCE_LEVEL


def decide(
    lower: ValueAndError, upper: ValueAndError, free: Array, region: tuple[float, float]
) -> Decisions:
    """Decide whether effects lie inside ``region``, an open interval of log ratios.

    ``lower`` and ``upper``, each with its standard error, are bounds of the effects apart from
    sampling error; ``free`` are the degrees of freedom. NaN if a standard error is NaN.
    """
    from scipy.special import stdtrit

    level = interval_level(region)
    times = stdtrit(free, (1 + level) / 2)
    low, high = lower[0] - times * lower[1], upper[0] + times * upper[1]
    start, end = region
    # The log of a quantity of zero is infinite, and so may be an end of the region.
    with np.errstate(invalid="ignore"):
        inside = np.maximum(
            one_sided_p(lower[0] - start, lower[1], free),
            one_sided_p(end - upper[0], upper[1], free),
        )
        outside = np.minimum(
            one_sided_p(start - upper[0], upper[1], free),
            one_sided_p(lower[0] - end, lower[1], free),
        )
    return Decisions(
        low=low,
        high=high,
        supported_p=np.minimum(inside if level < CONFIDENCE_LEVEL else 2 * inside, 1),
        contradicted_p=np.minimum(2 * outside, 1),
    )


def one_sided_p(distance: Array, se: Array, free: Array) -> Array:
    """The one-sided p-value of an effect ``distance`` inside a border (negative: outside).

    Without any spread, the side of the effect is certain, and an effect on the border is on
    neither side. Distances and errors up to LOG_ROUNDING count as zero.
    """
    from scipy.special import stdtr

    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.asarray(stdtr(free, -distance / se))
    sure = np.where(distance > LOG_ROUNDING, 0.0, 1.0)
    return np.where(np.isnan(se) | np.isnan(distance), np.nan, np.where(se > LOG_ROUNDING, p, sure))


def holm(p: pl.Expr) -> pl.Expr:
    """p-values after Holm's correction (1979) for the number that are not null."""
    rank = p.rank("ordinal")
    raised = (p * (p.count() - rank + 1)).clip(upper_bound=1.0)
    return raised.sort_by(rank, nulls_last=True).cum_max().gather(rank - 1)
