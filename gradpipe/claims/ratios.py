"""Ratios of two sets of examples: of their curves' geometric means over layers, and of their MADs.

A measured MAD contains noise, of which only bounds are known (see gradpipe/claims/measures.py), and
skewed items may hide a part of a mean (see ``inference.skew``). As for verdicts, an interval covers
every ratio between those bounds plus the sampling error; degrees of freedom count effective items.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from gradpipe.claims.contrasts import Quantity
from gradpipe.claims.inference.bootstrap import (
    Replicates,
    StatisticOfCounts,
    degrees_of_freedom,
    derive_seed,
    replicates,
    standard_error,
)
from gradpipe.claims.inference.decisions import decide
from gradpipe.claims.inference.skew import effective_count, item_levels
from gradpipe.claims.measures import NOISE_BOUNDS, CurveQuantity
from gradpipe.claims.values import Array, mean_curves

#: The quantities of a curve whose ratios are taken.
MEAN_AND_MAD: tuple[Quantity, Quantity] = ("mean", "mad")
_LOWER, _LIKELY, _UPPER = (NOISE_BOUNDS.index(name) for name in ("lower", "likely", "upper"))


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratios, their 95 % intervals and two-sided p-values against 1: each [projection · quantity].

    NaN if a value is not positive, or a MAD may be noise alone.
    """

    ratio: Array
    low: Array
    high: Array
    p: Array


def mean_and_mad(curves: Array) -> Array:
    """Geometric mean over layers, and MAD = 1/(N−1) Σ |s(i+1) − s(i)|, of curves.

    [..., projection, layer] → [..., projection · quantity]. The mean is NaN if a value is not
    positive. Layers without a projection (NaN in all of its curves) are
    skipped, so that its own layers are adjacent. The MAD of a curve of one layer is NaN.
    """
    leading = tuple(range(curves.ndim - 2))
    reduced = np.full((*curves.shape[:-1], len(MEAN_AND_MAD)), np.nan)
    for projection in range(curves.shape[-2]):
        values = curves[..., projection, :]
        curve = values[..., np.isfinite(values).any(axis=leading)]
        if curve.shape[-1]:
            positive = np.where(curve > 0, curve, np.nan)
            reduced[..., projection, 0] = np.exp(np.log(positive).mean(-1))
        if curve.shape[-1] > 1:
            reduced[..., projection, 1] = np.abs(np.diff(curve)).mean(-1)
    return reduced.reshape(*curves.shape[:-2], -1)


def ratio_of(a: Array, b: Array, paired: bool, seed: int) -> Ratio:
    """The ratio of ``a`` to ``b``, each [item, projection, layer]; their layers may differ.

    If ``paired``, both have the same items in the same order, which are resampled together.
    Otherwise each side is resampled separately; their variances add up, with Welch's degrees of
    freedom. Needs two items per side.
    """
    # Equal seeds draw equal resamples of equally many items.
    seeds = (seed, seed) if paired else (derive_seed(seed, "a"), derive_seed(seed, "b"))
    one, other = (
        replicates(_levels(values), len(values), side_seed)
        for values, side_seed in zip((a, b), seeds, strict=True)
    )
    items = (one.items, other.items)
    free = degrees_of_freedom(_effective_items(a)), degrees_of_freedom(_effective_items(b))
    lower, upper = (
        _difference(_end(one, ends[0]), _end(other, ends[1]), items, free, paired)
        for ends in ((_LOWER, _UPPER), (_UPPER, _LOWER))
    )
    gap = _gaps(a) - _gaps(b)
    likely = _end(one, _LIKELY)[0] - _end(other, _LIKELY)[0]
    decisions = decide(
        (lower[0] + np.minimum(gap, 0), lower[1]),
        (upper[0] + np.maximum(gap, 0), upper[1]),
        np.fmin(lower[2], upper[2]),
        (0.0, inf),
    )
    p = np.fmin(decisions.supported_p, decisions.contradicted_p)
    known = np.isfinite(lower[0] + likely + upper[0])
    return Ratio(
        ratio=np.where(known, np.exp(likely), np.nan),
        low=np.where(known, np.exp(decisions.low), np.nan),
        high=np.where(known, np.exp(decisions.high), np.nan),
        p=np.where(known, p, np.nan),
    )


def _levels(values: Array) -> StatisticOfCounts:
    """Counts to NOISE_BOUNDS of each quantity: [resample, bound · projection · quantity]."""
    mad = CurveQuantity(values, "mad", "all")

    def statistic(counts: Array) -> Array:
        curves = mean_curves(values, counts)
        mean = mean_and_mad(curves)[:, :: len(MEAN_AND_MAD)]
        mads = mad(curves)
        means = np.broadcast_to(mean[:, None], mads.shape)
        return np.stack([means, mads], axis=-1).reshape(len(counts), -1)

    return statistic


def _gaps(values: Array) -> Array:
    """How far skewed items may move the log of each quantity: [projection · quantity]."""
    gaps = [CurveQuantity(values, quantity, "all").gap for quantity in MEAN_AND_MAD]
    return np.stack(gaps, axis=-1).reshape(-1)


def _effective_items(values: Array) -> Array:
    """The effective number of items of unequal sizes: [projection · quantity]."""
    count = effective_count(np.maximum(np.nan_to_num(item_levels(values)), 0))
    return np.repeat(count, len(MEAN_AND_MAD))


def _end(drawn: Replicates, bound: int) -> tuple[Array, Array]:
    """The log of one of NOISE_BOUNDS [k], and its changes under resamples [resample, k].

    The changes are to first order: a bound near 0 can fall below 0.
    """
    observed = drawn.observed.reshape(len(NOISE_BOUNDS), -1)[bound]
    resampled = drawn.resampled.reshape(len(drawn.resampled), len(NOISE_BOUNDS), -1)[:, bound]
    positive = np.where(observed > 0, observed, np.nan)
    level: Array = np.log(positive)
    return level, resampled / positive


def _difference(
    one: tuple[Array, Array],
    other: tuple[Array, Array],
    items: tuple[int, int],
    free: tuple[Array, Array],
    paired: bool,
) -> tuple[Array, Array, Array]:
    """The difference of two logs, with its standard error and degrees of freedom.

    ``free`` are the degrees of freedom of each side.
    """
    difference = one[0] - other[0]
    if paired:
        se = standard_error(one[1] - other[1], items[0])
        return difference, se, np.minimum(*free)
    errors = [standard_error(moves, n) for (_, moves), n in zip((one, other), items, strict=True)]
    se = np.hypot(*errors)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (e**4 / degrees for e, degrees in zip(errors, free, strict=True))
        together = se**4 / sum(parts)
    return difference, se, np.where(se > 0, together, np.minimum(*free))
