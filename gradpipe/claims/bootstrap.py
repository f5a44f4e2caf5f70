"""The bootstrap over items: estimates, intervals and p-values of whatever is made from them.

An item is drawn with all its examples, so what is compared stays paired. Resampling is SciPy's; the
interval is effect ± t · se with the bootstrap's standard error, and the p-value the same t's: an
interval excludes 0 exactly where p < 1 − level. Percentile, basic and BCa intervals of the same
resamples cover less on few skewed items, and their p-values end at 1 / resamples, too early for
many cells.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.values import Array
from gradpipe.system.hashing import content_hash

RESAMPLES = 2000
LEVEL = 0.95
#: With fewer items than this nothing is decided: their spread says too little of itself.
FEWEST_ITEMS = 8
#: Resamples at a time: their counts and curves take some tens of MB.
BATCH = 500

#: From how often each item is drawn [resample, item] to [resample, k].
Statistic = Callable[[Array], Array]


@dataclass(frozen=True)
class Estimate:
    """What a bootstrap says: arrays of one shape [k], over ``items`` items.

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
    """A statistic of the items as they are, ``observed`` [k], and ``resampled`` [resample, k]."""

    observed: Array
    resampled: Array
    items: int


def seed_of(seed: int, *names: str) -> int:
    """A seed of its own for whatever has these names, the same in whatever order they come."""
    return int(content_hash(seed, *names, length=16), 16)


def bootstrap(
    statistic: Statistic,
    items: int,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Estimates a statistic that is additive under the null, such as a difference or a log ratio.

    ``statistic`` takes counts [resample, item] and returns [resample, k]. All but ``effect`` is NaN
    with fewer than two items.
    """
    return estimate(replicates(statistic, items, seed, resamples), level)


def replicates(
    statistic: Statistic, items: int, seed: int, resamples: int = RESAMPLES
) -> Replicates:
    """The statistic on the items as they are, and on resamples of them with replacement."""
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
        # SciPy warns of intervals that it cannot tell; none of its intervals is used.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = scipy_bootstrap(
            (np.arange(items),),
            of_indices,
            n_resamples=resamples,
            batch=BATCH,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return Replicates(observed, result.bootstrap_distribution.T, items)


def estimate(drawn: Replicates, level: float = LEVEL) -> Estimate:
    """The estimate that replicates give; see ``bootstrap``."""
    from scipy.special import stdtr, stdtrit

    se = standard_error(drawn.resampled, drawn.items)
    effect = 2 * drawn.observed - mean(drawn.resampled)
    effect = np.where(np.isfinite(effect), effect, drawn.observed)
    free = degrees_of_freedom(drawn.items)
    reach = stdtrit(free, (1 + level) / 2) * se
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stdtr(free, -np.abs(effect) / se)
    # Without any spread an effect is certain; without an error there is nothing to say of it.
    p = np.where(se > 0, p, np.where(np.isnan(se), np.nan, np.where(effect == 0, 1.0, 0.0)))
    return Estimate(effect, effect - reach, effect + reach, se, p, drawn.items)


def degrees_of_freedom(items: int | NDArray[np.int64]) -> Array:
    """Those of t for so many items: (n − 1) / 2, at the least 1/2.

    A variance over n items of kurtosis κ is known as well as one with about 2 (n − 1) / (κ − 1)
    degrees of freedom: n − 1 for normal items, half of that at κ = 5. Gradients of real items have
    3 to 7.
    """
    return np.asarray(np.maximum(np.subtract(items, 1), 1) / 2)


def standard_error(resampled: Array, items: int | NDArray[np.int64]) -> Array:
    """The standard deviation of ``resampled`` [resample, k] times √(n / (n − 1)): [k].

    Resampling n items spreads them by their variance over n, not over n − 1. Resamples without a
    finite value are left out; NaN with fewer than two items, or two resamples.
    """
    finite = np.isfinite(resampled)
    count = finite.sum(0)
    deviations = np.where(finite, resampled - mean(resampled), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread: Array = np.sqrt(
            (deviations**2).sum(0) / (count - 1) * items / (np.subtract(items, 1))
        )
    return np.where((count > 1) & np.isfinite(spread), spread, np.nan)


def mean(resampled: Array) -> Array:
    """The mean over the resamples that have a finite value: [resample, k] → [k], else NaN."""
    finite = np.isfinite(resampled)
    with np.errstate(invalid="ignore"):
        found: Array = np.where(finite, resampled, 0.0).sum(0) / finite.sum(0)
    return found


def _counts(indices: Array, items: int) -> Array:
    """How often each item is drawn: [resample, draw] → [resample, item]."""
    resamples = len(indices)
    places = indices + items * np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resamples * items)
    return counts.reshape(-1, items).astype(np.float64)
