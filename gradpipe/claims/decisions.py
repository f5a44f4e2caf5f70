"""Whether an effect lies inside a claim's region: intervals, p-values and Holm's correction.

Every decision is one about the 95 % interval. A claim is supported where the interval lies inside
its region and contradicted where the interval lies wholly outside. A p-value is twice the one-sided
p of the t-test that decides the same, so that p < 0.05 exactly where the interval decides; a region
with two ends takes the worse of its two one-sided tests, which is the test of equivalence of
Schuirmann (1987).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gradpipe.claims.bootstrap import LEVEL
from gradpipe.claims.values import Array

#: Log ratios and their errors below this are nothing but rounding.
ROUNDING = 1e-12

#: A value and its standard error.
End = tuple[Array, Array]


@dataclass(frozen=True)
class Decisions:
    """Arrays of one shape: interval ends of the log ratio, and p-values for and against a claim."""

    low: Array
    high: Array
    supported_p: Array
    contradicted_p: Array


def decide(least: End, most: End, free: Array, region: tuple[float, float]) -> Decisions:
    """Sets effects against a region, an open interval of log ratios.

    ``least`` and ``most``, each with its standard error, are the ends between which the effects lie
    but for sampling; ``free`` are the degrees of freedom. NaN where a standard error is NaN.
    """
    from scipy.special import stdtrit

    times = stdtrit(free, (1 + LEVEL) / 2)
    low, high = least[0] - times * least[1], most[0] + times * most[1]
    start, end = region
    # A measure of zero has a log that is infinite, and so may be an end of the region.
    with np.errstate(invalid="ignore"):
        inside = np.maximum(_p(least[0] - start, least[1], free), _p(end - most[0], most[1], free))
        outside = np.minimum(_p(start - most[0], most[1], free), _p(least[0] - end, least[1], free))
    return Decisions(low, high, np.minimum(2 * inside, 1), np.minimum(2 * outside, 1))


def _p(distance: Array, se: Array, free: Array) -> Array:
    """The one-sided p-value of being on the near side by this distance, or beyond.

    Without any spread it is certain on which side an effect lies; on the border it is on neither.
    What rounding makes of nothing counts as nothing.
    """
    from scipy.special import stdtr

    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.asarray(stdtr(free, -distance / se))
    sure = np.where(distance > ROUNDING, 0.0, 1.0)
    return np.where(np.isnan(se) | np.isnan(distance), np.nan, np.where(se > ROUNDING, p, sure))


def holm(p: pl.Expr) -> pl.Expr:
    """p-values with Holm's correction (1979) for as many as are not null."""
    rank = p.rank("ordinal")
    raised = (p * (p.count() - rank + 1)).clip(upper_bound=1.0)
    return raised.sort_by(rank, nulls_last=True).cum_max().gather(rank - 1)
