"""The bootstrap over items: estimates, intervals and p-values of a statistic of the items.

An item is drawn with all its examples, so comparisons stay paired. SciPy does the resampling. The
interval is effect ± t · se with the bootstrap's standard error, and the p-value comes from the same
t: an interval excludes 0 exactly if p < 1 − level. Percentile, basic and BCa intervals of the same
resamples cover too little for few skewed items, and their p-values are at least 1 / resamples,
which is too coarse to be corrected for many cells.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.values import Array
from gradpipe.system.hashing import content_hash

RESAMPLES = 2000
CONFIDENCE_LEVEL = 0.95
#: With fewer items than this nothing is decided: their spread is not known well enough.
MIN_ITEMS = 8
#: Resamples that are computed together: their counts and curves take tens of MB.
RESAMPLES_AT_ONCE = 500

#: A function from how often each item is drawn [resample, item] to values [resample, k].
StatisticOfCounts = Callable[[Array], Array]


@dataclass(frozen=True)
class EffectEstimate:
    """The result of a bootstrap over ``items`` items: arrays of the same shape [k].

    ``effect`` is corrected for the bootstrap's bias; ``p`` is two-sided, against an effect of 0.
    """

    effect: Array
    low: Array
    high: Array
    se: Array
    p: Array
    items: int


@dataclass(frozen=True)
class Replicates:
    """A statistic of the original items, ``observed`` [k], and ``resampled`` [resample, k]."""

    observed: Array
    resampled: Array
    items: int


def derive_seed(seed: int, *names: str) -> int:
    """A seed that depends on ``seed`` and the names only, so that it is the same in every run."""
    return int(content_hash(seed, *names, length=16), 16)


def bootstrap(
    statistic: StatisticOfCounts,
    items: int,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = CONFIDENCE_LEVEL,
) -> EffectEstimate:
    """Estimate a statistic whose errors add up, such as a difference or a log ratio.

    ``statistic`` takes counts [resample, item] and returns [resample, k]. With fewer than two items
    everything but ``effect`` is NaN.
    """
    return estimate_effect(replicates(statistic, items, seed, resamples), level)


def replicates(
    statistic: StatisticOfCounts, items: int, seed: int, resamples: int = RESAMPLES
) -> Replicates:
    """The statistic of the original items, and of items that are resampled with replacement."""
    # Importing SciPy takes a second, and the Dagster code location imports this module.
    from scipy.stats import DegenerateDataWarning
    from scipy.stats import bootstrap as scipy_bootstrap

    observed = statistic(np.ones((1, items)))[0]
    if items < 2:
        return Replicates(observed, np.full((resamples, observed.size), np.nan), items)

    def of_indices(indices: Array, axis: int = -1) -> Array:
        drawn = indices.reshape(-1, indices.shape[-1])
        values = statistic(_counts(drawn, items)).T
        return values.reshape(observed.size, *indices.shape[:-1])

    with warnings.catch_warnings():
        # SciPy warns of intervals that it cannot compute; its intervals are not used.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = scipy_bootstrap(
            (np.arange(items),),
            of_indices,
            n_resamples=resamples,
            batch=RESAMPLES_AT_ONCE,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return Replicates(observed, result.bootstrap_distribution.T, items)


def estimate_effect(drawn: Replicates, level: float = CONFIDENCE_LEVEL) -> EffectEstimate:
    """Estimate an effect from replicates; see ``bootstrap``."""
    from scipy.special import stdtr, stdtrit

    se = standard_error(drawn.resampled, drawn.items)
    effect = 2 * drawn.observed - finite_mean(drawn.resampled)
    effect = np.where(np.isfinite(effect), effect, drawn.observed)
    free = degrees_of_freedom(drawn.items)
    reach = stdtrit(free, (1 + level) / 2) * se
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stdtr(free, -np.abs(effect) / se)
    # Without any spread an effect is certain; with an unknown spread its p-value is unknown.
    p = np.where(se > 0, p, np.where(np.isnan(se), np.nan, np.where(effect == 0, 1.0, 0.0)))
    return EffectEstimate(
        effect=effect, low=effect - reach, high=effect + reach, se=se, p=p, items=drawn.items
    )


def degrees_of_freedom(items: int | NDArray[np.int64] | Array) -> Array:
    """The degrees of freedom of t for a number of items: (n − 1) / 2, at least 1/2.

    The variance of n items of kurtosis κ is known as well as one with about 2 (n − 1) / (κ − 1)
    degrees of freedom: n − 1 for normal items, half of that at κ = 5. Gradients of real items have
    a kurtosis of 3 to 7.
    """
    return np.asarray(np.maximum(np.subtract(items, 1), 1) / 2)


def standard_error(resampled: Array, items: int | NDArray[np.int64]) -> Array:
    """The standard deviation of ``resampled`` [resample, k] times √(n / (n − 1)): [k].

    The spread of resamples of n items follows their variance over n, not over n − 1. Resamples
    without a finite value are excluded. NaN with fewer than two items or two resamples.
    """
    finite = np.isfinite(resampled)
    count = finite.sum(0)
    deviations = np.where(finite, resampled - finite_mean(resampled), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread: Array = np.sqrt(
            (deviations**2).sum(0) / (count - 1) * items / (np.subtract(items, 1))
        )
    return np.where((count > 1) & np.isfinite(spread), spread, np.nan)


def finite_mean(resampled: Array) -> Array:
    """The mean over resamples with a finite value, NaN without any: [resample, k] → [k]."""
    finite = np.isfinite(resampled)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(finite, resampled, 0.0).sum(0) / finite.sum(0)
    return mean


def _counts(indices: Array, items: int) -> Array:
    """How often each item is drawn: [resample, draw] → [resample, item]."""
    resamples = len(indices)
    offsets = indices + items * np.arange(resamples)[:, None]
    counts = np.bincount(offsets.ravel(), minlength=resamples * items)
    return counts.reshape(-1, items).astype(np.float64)
