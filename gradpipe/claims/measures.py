"""Quantities of a mean curve, its MADs and geometric mean, with bounds for the effect of noise.

Noise raises a MAD: it adds to every difference of adjacent layers, and more so for a noisier curve.
A difference whose true value is d, measured with standard error τ, has the mean absolute value of a
folded normal, |d| + b(d), b(d) = τ √(2/π) exp(−d² / 2τ²) − |d| erfc(|d| / √2 τ). Since d is not
known, neither is what noise added; but it has bounds:

- b > 0, so the measured MAD is an upper bound of the true one;
- b at the measured d is on average at least √2 − 1 of b(d). That is its share if d = 0, where all
  is noise, and the share grows with d. So |measured d| − b / (√2 − 1) is a lower bound.

The likely value is between them: |measured d| − b.

A relative MAD is that of the curve divided by its mean over layers, whose noise averages out. For
the MAD of the log curve, d and τ are those of differences of logs, with τ to first order.
"""

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Quantity, Segment
from gradpipe.claims.inference.skew import item_levels, lognormal_gap
from gradpipe.claims.values import Array
from gradpipe.statistics.differences import segments

#: The bounds that noise leaves for each quantity, with its likely value between them.
NOISE_BOUNDS = ("lower", "likely", "upper")
#: The smallest share of a measured MAD that its lower bound may be. Below that, the noise is too
#: large a part to be known well itself, and the lower bound is taken as 0.
MIN_SIGNAL_SHARE = 0.75
#: The mean of b at a measured difference, as a share of b at the true difference, if that is zero.
VISIBLE_NOISE_SHARE = np.sqrt(2) - 1


class CurveQuantity:
    """A quantity of one curve inside a segment of layers, for each projection.

    ``values`` [item, projection, layer] are those of the items that the mean curve is over. They
    are NaN at layers without the projection, and for items that are not used. ``levels`` [item,
    projection] are the items' means over layers, and ``gap`` [projection] says how far skewed items
    may move the log of the quantity (see gradpipe/claims/inference/skew.py).
    """

    def __init__(self, values: Array, name: Quantity, segment: Segment) -> None:
        self.name = name
        inside = np.arange(values.shape[-1])[segment_slice(values.shape[-1], segment)]
        present: NDArray[np.bool_] = np.any(np.isfinite(values), axis=0)
        self._layers = [inside[row[inside]] for row in present]
        self._errors = [
            _errors_of_differences(values[:, projection, layers], name == "log_mad")
            for projection, layers in enumerate(self._layers)
        ]
        self.levels = item_levels(values[..., inside])
        self.gap = self._gap(values)

    def __call__(self, curves: Array) -> Array:
        """NOISE_BOUNDS from mean curves: [resample, projection, layer] → [resample, 3, projection].

        The three values of a geometric mean are equal. NaN for a MAD of fewer than two layers, for
        a relative one unless the mean is positive, and for a geometric mean of no layers. NaN for a
        geometric mean or the MAD of the log curve if a value is not positive.
        """
        bounds = np.full((len(curves), len(NOISE_BOUNDS), len(self._layers)), np.nan)
        for projection, (layers, errors) in enumerate(zip(self._layers, self._errors, strict=True)):
            curve = curves[:, projection, layers]
            if self.name == "mean" and len(layers) > 0:
                bounds[:, :, projection] = np.exp(_logs(curve).mean(-1))[:, None]
            elif self.name != "mean" and len(layers) > 1:
                bounds[:, :, projection] = self._mads(curve, errors)
        return bounds

    @property
    def width(self) -> int:
        """The number of values per resample."""
        return len(NOISE_BOUNDS) * len(self._layers)

    def _gap(self, values: Array) -> Array:
        if self.name == "mad":
            return lognormal_gap(self.levels)
        gaps = np.zeros(len(self._layers))
        for projection, layers in enumerate(self._layers):
            if self.name == "mean" and len(layers) > 0:
                gaps[projection] = lognormal_gap(values[:, projection, layers]).mean()
        return gaps

    def _mads(self, curve: Array, errors: Array) -> Array:
        """The bounds of the curve's MAD of this name: [resample, layer] → [resample, 3]."""
        if self.name == "log_mad":
            return _mad(np.abs(np.diff(_logs(curve))), errors)
        mads = _mad(np.abs(np.diff(curve)), errors)
        if self.name == "mad":
            return mads
        mean = curve.mean(-1, keepdims=True)
        return mads / np.where(mean > 0, mean, np.nan)


def _mad(differences: Array, errors: Array) -> Array:
    """Absolute differences [resample, layer] and their standard errors → [resample, 3]."""
    # Importing SciPy takes a second, and the Dagster code location imports this module.
    from scipy.special import erfc

    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(errors > 0, differences / errors, np.inf)
        added = errors * (np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2))
        added -= differences * erfc(ratio / np.sqrt(2))
    mad, noise = differences.mean(-1), added.mean(-1)
    return np.stack([mad - noise / VISIBLE_NOISE_SHARE, mad - noise, mad], axis=-1)


def _logs(curves: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(curves > 0, np.log(curves), np.nan)


def _errors_of_differences(values: Array, of_logs: bool) -> Array:
    """The standard error of each difference of adjacent layers of the mean curve, or of its logs.

    Errors of logs are to first order, where the mean is positive.
    """
    values = values[np.isfinite(values).all(-1)]
    if len(values) < 2:
        return np.zeros(max(values.shape[-1] - 1, 0))
    if of_logs:
        mean = values.mean(0)
        values = values / np.where(mean > 0, mean, np.nan)
    errors: Array = np.diff(values).std(0, ddof=1) / np.sqrt(len(values))
    return errors


def segment_slice(depth: int, segment: Segment) -> slice:
    """The positions of a segment's layers."""
    if segment == "all":
        return slice(0, depth)
    part = ("early", "mid", "last").index(segment)
    edges = [0, *accumulate(segments(depth))]
    return slice(edges[part], edges[part + 1])


def logs_of_bounds(observed: Array) -> Array:
    """The logs of NOISE_BOUNDS [3, projection]: −∞ for a quantity that may be 0."""
    kept = np.where(observed < 0, 0, observed)
    lower, upper = NOISE_BOUNDS.index("lower"), NOISE_BOUNDS.index("upper")
    kept[lower] = np.where(kept[lower] < MIN_SIGNAL_SHARE * kept[upper], 0, kept[lower])
    with np.errstate(divide="ignore"):
        return np.log(kept)


def moves_of_logs(observed: Array, resampled: Array) -> Array:
    """Changes of the logs under resamples, to first order: a bound near 0 can fall below 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(observed > 0, resampled / observed, 0.0)
