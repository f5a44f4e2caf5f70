"""Whether two curves nearly coincide: the log ratio of every layer against a margin.

A mean over layers would let opposite layers cancel, so each layer has its own test:

- The claim is supported if every layer's ratio is significantly within the margin. This is the
  intersection–union test of Berger (1982) with the two one-sided tests of Schuirmann (1987) at each
  layer. Each is at 5 %, which is a 90 % interval inside the margin. All of them have to reject, so
  there is no correction for the number of layers. A band that holds for all layers at once would
  support the claim less often and guard against no further error (Berger and Hsu 1996).
- It is contradicted if at least one layer's ratio is significantly outside. Here one false layer
  would be enough, so the p-values are those of the largest deviation over all layers (max-t of
  Westfall and Young 1993, single step), on the same resamples of the items.

A ratio is either within the margin at every layer or not, so only one of the two errors is
possible, and each has its full 5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Segment
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, finite_mean, standard_error
from gradpipe.claims.inference.decisions import LOG_ROUNDING, Decisions, one_sided_p
from gradpipe.claims.inference.skew import item_levels, lognormal_gap
from gradpipe.claims.measures import segment_slice
from gradpipe.claims.values import Array

#: A p-value of the largest deviation is not taken from fewer resamples than this.
LEAST_RESAMPLES = 10


class LayerValues:
    """The values of one curve inside a segment of layers, for each projection.

    ``values`` are as for ``CurveQuantity``, and so are ``levels`` and ``gap``, which is
    [projection, layer] here.
    """

    def __init__(self, values: Array, segment: Segment) -> None:
        _, projections, depth = values.shape
        self._inside = segment_slice(depth, segment)
        self.width = projections * len(range(depth)[self._inside])
        self.levels = item_levels(values[..., self._inside])
        self.gap = lognormal_gap(values[..., self._inside])

    def __call__(self, curves: Array) -> Array:
        """From mean curves: [resample, projection, layer] → [resample, projection, layer]."""
        return curves[..., self._inside]


@dataclass(frozen=True)
class LayerRatios:
    """Log ratios [projection, layer], and their changes [resample, projection, layer].

    NaN at layers where the projection is missing, and at all layers of a projection whose ratio is
    undefined at one of them.
    """

    value: Array
    resampled: Array
    #: How far skewed items may move the value (see ``inference.skew``): [projection, layer].
    gap: Array | float = 0.0

    @property
    def lower(self) -> Array:
        """The lower bound of the log ratios apart from sampling error."""
        return self.value + np.minimum(self.gap, 0)

    @property
    def upper(self) -> Array:
        """The upper bound of the log ratios apart from sampling error."""
        return self.value + np.maximum(self.gap, 0)

    def farthest(self) -> tuple[Array, Array]:
        """The log ratio of the layer where it is farthest from 0, and its changes.

        Returns [projection] and [resample, projection].
        """
        distance = np.abs(self.value)
        layer = np.where(np.isfinite(distance), distance, -1.0).argmax(-1)[:, None]
        value = np.take_along_axis(self.value, layer, -1)[:, 0]
        return value, np.take_along_axis(self.resampled, layer[None], -1)[..., 0]


def combine_curves(parts: Sequence[tuple[int, Array, Array, Array]]) -> LayerRatios:
    """The ratios of curves: of each its exponent, values, resampled values and gap.

    They are as in LayerRatios. Changes are to first order. A value that is not positive leaves the
    ratio undefined.
    """
    logs, changes = [], []
    present = np.logical_and.reduce([np.isfinite(observed) for _, observed, _, _ in parts])
    for coefficient, observed, resampled, _ in parts:
        positive = np.where(observed > 0, observed, np.nan)
        logs.append(coefficient * np.log(positive))
        changes.append(coefficient * resampled / positive)
    value = np.sum(logs, axis=0)
    undefined = (present & ~np.isfinite(value)).any(-1, keepdims=True)
    gap = np.sum([coefficient * gap for coefficient, _, _, gap in parts], axis=0)
    return LayerRatios(np.where(undefined, np.nan, value), np.sum(changes, axis=0), gap)


@dataclass(frozen=True)
class LayerDecisions(Decisions):
    """Decisions for each projection: [projection].

    ``low`` is a 95 % lower bound of the smallest layer's log ratio and ``high`` a 95 % upper bound
    of the largest one. ``layers`` counts the layers; ``outside`` those significantly outside of the
    margin.
    """

    layers: NDArray[np.int64]
    outside: NDArray[np.int64]


def decide_layers(
    ratios: LayerRatios, items: NDArray[np.int64], free: Array, region: tuple[float, float]
) -> LayerDecisions:
    """Decide whether the log ratios of all layers lie inside ``region``.

    ``items`` and the degrees of freedom ``free`` are [projection]. ``region`` is symmetric about 0.
    NaN for a projection without layers, or with an unknown standard error.
    """
    from scipy.special import stdtrit

    present = np.isfinite(ratios.value)
    se = standard_error(ratios.resampled, items[:, None])
    known = present.any(-1) & ~(present & np.isnan(se)).any(-1)
    free, margin = free[:, None], region[1]
    reach = stdtrit(free, CONFIDENCE_LEVEL) * se
    distance = np.maximum(np.abs(ratios.lower), np.abs(ratios.upper))
    inside = one_sided_p(margin - distance, se, free)
    outside = _largest_deviation_p(ratios, items, se, free, margin)
    ends = (
        (ratios.lower - reach, np.inf, np.min),
        (ratios.upper + reach, -np.inf, np.max),
        (inside, -np.inf, np.max),
        (outside, np.inf, np.min),
    )
    low, high, supported_p, contradicted_p = (
        np.where(known, pick(np.where(present, values, least), axis=-1), np.nan)
        for values, least, pick in ends
    )
    return LayerDecisions(
        low=low,
        high=high,
        supported_p=supported_p,
        contradicted_p=contradicted_p,
        layers=present.sum(-1),
        outside=(present & (outside < 1 - CONFIDENCE_LEVEL)).sum(-1),
    )


def _largest_deviation_p(
    ratios: LayerRatios, items: NDArray[np.int64], se: Array, free: Array, margin: float
) -> Array:
    """The p-values of each layer's ratio against the margin, adjusted for all layers.

    The share of resamples in which the largest deviation of a layer, in standard errors, is larger
    than that of the layer from the margin. A deviation has the tails of t, not of the resamples'
    normal distribution, so it is divided by √(χ² / degrees of freedom), in expectation. Shares of
    too few resamples are replaced by Bonferroni's bound, which is larger.
    """
    from scipy.special import gammainc, stdtr

    # At layers without any spread, the side is certain.
    spread = np.isfinite(ratios.value) & (se > LOG_ROUNDING)
    beyond = np.maximum(ratios.lower - margin, -margin - ratios.upper)
    distance = np.where(spread, beyond / np.where(spread, se, 1.0), -np.inf)
    scale = np.sqrt(items / np.maximum(items - 1, 1))[:, None]
    centered = np.abs(ratios.resampled - finite_mean(ratios.resampled)) * scale
    largest = np.where(spread, centered / np.where(spread, se, 1.0), 0.0).max(-1)
    p = np.where(beyond > LOG_ROUNDING, 0.0, 1.0)
    for place in np.argwhere(spread & (distance > 0)):
        projection, t = place[0], distance[tuple(place)]
        degrees = free[projection, 0]
        # P(χ² < degrees · (largest / t)²) of each resample.
        shares = gammainc(degrees / 2, degrees / 2 * (largest[:, projection] / t) ** 2)
        bonferroni = min(1.0, 2 * stdtr(degrees, -t) * spread[projection].sum())
        least = LEAST_RESAMPLES / len(largest)
        share = float(shares.mean())
        p[tuple(place)] = share if share >= least else min(least, bonferroni)
    return np.where(spread & (distance <= 0), 1.0, p)
