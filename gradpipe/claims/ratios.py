"""Ratios of two sets of examples: of their mean curves' means over layers and of their MADs.

A MAD as measured holds noise, of which only bounds are known (see gradpipe/claims/measures.py). As
in the verdicts, an interval covers every ratio between those bounds beside the error of sampling.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from gradpipe.claims.bootstrap import (
    Replicates,
    Statistic,
    degrees_of_freedom,
    replicates,
    seed_of,
    standard_error,
)
from gradpipe.claims.decisions import decide
from gradpipe.claims.measures import ESTIMATES, Measure
from gradpipe.claims.values import Array, mean_curves

QUANTITIES = ("mean", "mad")
_LEAST, _LIKELY, _MOST = (ESTIMATES.index(name) for name in ("least", "likely", "most"))


@dataclass(frozen=True)
class Ratio:
    """Ratios, their 95 % intervals and two-sided p-values against 1: each [projection · quantity].

    NaN where there is none: no value that is positive, or a MAD that may be noise alone.
    """

    ratio: Array
    low: Array
    high: Array
    p: Array


def mean_and_mad(curves: Array) -> Array:
    """Mean over layers and MAD = 1/(N−1) Σ |s(i+1) − s(i)| of curves [..., projection, layer].

    Returns [..., projection · quantity]. Layers that lack a projection (NaN in all of its curves)
    are passed over, so that its own layers are neighbours; a curve of one layer has no MAD (NaN).
    """
    places = tuple(range(curves.ndim - 2))
    reduced = np.full((*curves.shape[:-1], len(QUANTITIES)), np.nan)
    for projection in range(curves.shape[-2]):
        of_projection = curves[..., projection, :]
        curve = of_projection[..., np.isfinite(of_projection).any(axis=places)]
        if curve.shape[-1]:
            reduced[..., projection, 0] = curve.mean(-1)
        if curve.shape[-1] > 1:
            reduced[..., projection, 1] = np.abs(np.diff(curve)).mean(-1)
    return reduced.reshape(*curves.shape[:-2], -1)


def ratio_of(a: Array, b: Array, paired: bool, seed: int) -> Ratio:
    """The ratio of ``a`` to ``b``, each [item, projection, layer] with layers of its own.

    ``paired``: the same items in the same order, resampled together. Else each side is resampled by
    itself; their variances add up, with Welch's degrees of freedom. Needs two items a side.
    """
    # One seed draws the same of as many items.
    seeds = (seed, seed) if paired else (seed_of(seed, "a"), seed_of(seed, "b"))
    one, other = (
        replicates(_levels(values), len(values), of_side)
        for values, of_side in zip((a, b), seeds, strict=True)
    )
    least, most = (
        _difference(_end(one, ends[0]), _end(other, ends[1]), (one.items, other.items), paired)
        for ends in ((_LEAST, _MOST), (_MOST, _LEAST))
    )
    likely = _end(one, _LIKELY)[0] - _end(other, _LIKELY)[0]
    decisions = decide(least[:2], most[:2], np.fmin(least[2], most[2]), (0.0, inf))
    p = np.fmin(decisions.supported_p, decisions.contradicted_p)
    known = np.isfinite(least[0] + likely + most[0])
    found = (np.exp(likely), np.exp(decisions.low), np.exp(decisions.high), p)
    return Ratio(*(np.where(known, values, np.nan) for values in found))


def _levels(values: Array) -> Statistic:
    """Counts to ESTIMATES of each quantity: [resample, estimate · projection · quantity]."""
    mad = Measure(values, "mad", "all")

    def statistic(counts: Array) -> Array:
        curves = mean_curves(values, counts)
        mean = mean_and_mad(curves)[:, :: len(QUANTITIES)]
        mads = mad(curves)
        means = np.broadcast_to(mean[:, None], mads.shape)
        return np.stack([means, mads], axis=-1).reshape(len(counts), -1)

    return statistic


def _end(drawn: Replicates, place: int) -> tuple[Array, Array]:
    """The log of one of ESTIMATES [k], and its moves [resample, k], taken linearly.

    What may be noise alone may fall below 0.
    """
    observed = drawn.observed.reshape(len(ESTIMATES), -1)[place]
    resampled = drawn.resampled.reshape(len(drawn.resampled), len(ESTIMATES), -1)[:, place]
    positive = np.where(observed > 0, observed, np.nan)
    level: Array = np.log(positive)
    return level, resampled / positive


def _difference(
    one: tuple[Array, Array], other: tuple[Array, Array], items: tuple[int, int], paired: bool
) -> tuple[Array, Array, Array]:
    """How far one log lies above another, with its standard error and degrees of freedom."""
    difference = one[0] - other[0]
    if paired:
        se = standard_error(one[1] - other[1], items[0])
        return difference, se, np.full(se.shape, degrees_of_freedom(items[0]))
    errors = [standard_error(moves, n) for (_, moves), n in zip((one, other), items, strict=True)]
    se = np.hypot(*errors)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (e**4 / degrees_of_freedom(n) for e, n in zip(errors, items, strict=True))
        free = se**4 / sum(parts)
    return difference, se, np.where(se > 0, free, degrees_of_freedom(min(items)))
