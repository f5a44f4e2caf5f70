"""Skewed items: how much a few large items may hide or decide in a mean.

Sizes of gradients are skewed to the right, roughly log-normal. If the standard deviation of their
logs is near 1, few items miss the rare large ones, and their mean is mostly too low. Two
corrections keep intervals and verdicts at their nominal rates:

- The interval covers two estimates of an expectation, that of the sample mean and that of a
  log-normal distribution, exp(mean(log x) + var(log x) / 2) (Cox's estimate, in Land 1972). Their
  difference is treated as a bound, as in the bias-aware intervals of Armstrong and Kolesár (2018).
- Degrees of freedom count effective items, (Σ w)² / Σ w² (Kish 1965), of weights w that are the
  items' sizes: a mean of 24 items of which one has most of the weight is known from few.

With equal items both leave everything as it is. docs/explanation/verdicts.md has the error rates
before and after.
"""

import numpy as np

from gradpipe.claims.values import Array

#: A difference of logs up to this is a rounding error.
_ROUNDING = 1e-12


def lognormal_gap(values: Array) -> Array:
    """Log of the log-normal estimate of the expectation minus log of the mean: [item, ...] → [...].

    Items with NaN are not used. 0 with fewer than two items, and if a value is not positive.
    """
    used = np.isfinite(values)
    count = used.sum(0)
    positive = ~(used & (values <= 0)).any(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(used & (values > 0), values, 1.0))
        mean = np.where(used, logs, 0.0).sum(0) / count
        variance = np.where(used, (logs - mean) ** 2, 0.0).sum(0) / (count - 1)
        gap = mean + variance / 2 - np.log(np.where(used, values, 0.0).sum(0) / count)
    known = positive & (count > 1) & np.isfinite(gap)
    return np.where(known & (np.abs(np.where(known, gap, 0.0)) > _ROUNDING), gap, 0.0)


def item_levels(values: Array) -> Array:
    """The mean over layers of each item's values: [item, projection, layer] → [item, projection].

    Layers without a value are skipped; an item without any has NaN.
    """
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        levels: Array = np.where(finite, values, 0.0).sum(-1) / finite.sum(-1)
    return levels


def effective_count(weights: Array) -> Array:
    """Kish's effective number of units, (Σ w)² / Σ w²: [unit, ...] → [...], 1 without weights."""
    total, squares = weights.sum(0), (weights**2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 0, total**2 / squares, 1.0)
