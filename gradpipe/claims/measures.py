"""What a claim compares: one number of a mean curve, for many curves at once.

Noise raises a MAD: it adds to every difference of adjacent layers, more for the noisier curve. A
difference whose true value is d, measured with the standard error τ, has the mean absolute value of
a folded normal, |d| + b(d), b(d) = τ √(2/π) exp(−d² / 2τ²) − |d| erfc(|d| / √2 τ). What noise added
cannot be known exactly, since d is not, only bounded:

- it added something: b > 0, so the MAD as measured is the most the true one may be;
- b at the measured d is on average at least √2 − 1 of b(d). That is its share where d = 0 and all
  is noise; the share grows with d. So |measured d| − b / (√2 − 1) is the least.

Between them stands |measured d| − b, from which noise is taken as far as it shows.
"""

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Quantity, Segment
from gradpipe.claims.values import Array
from gradpipe.statistics.differences import segments

#: What is told of each quantity: what it may be at the least, what it likely is, at the most.
ESTIMATES = ("least", "likely", "most")
#: What the noise that shows in pure noise is of all noise.
SHOWN = np.sqrt(2) - 1


class Measure:
    """A quantity of one curve inside a segment of layers, for each projection.

    ``values`` [item, projection, layer] are those of the items it is over, all NaN where a
    projection has no such layer and for items that do not count.
    """

    def __init__(self, values: Array, name: Quantity, segment: Segment) -> None:
        self.name = name
        inside = np.arange(values.shape[-1])[_inside(values.shape[-1], segment)]
        present: NDArray[np.bool_] = np.any(np.isfinite(values), axis=0)
        self._layers = [inside[row[inside]] for row in present]
        self._errors = [
            _errors_of_differences(values[:, projection, layers])
            for projection, layers in enumerate(self._layers)
        ]

    def __call__(self, curves: Array) -> Array:
        """ESTIMATES from mean curves: [resample, projection, layer] → [resample, 3, projection].

        The geometric mean has all three alike. NaN where a MAD has fewer than two layers, or a
        geometric mean no layer or a value that is not positive.
        """
        found = np.full((len(curves), len(ESTIMATES), len(self._layers)), np.nan)
        for projection, (layers, errors) in enumerate(zip(self._layers, self._errors, strict=True)):
            curve = curves[:, projection, layers]
            if self.name == "mad" and len(layers) > 1:
                found[:, :, projection] = _mad(np.abs(np.diff(curve)), errors)
            elif self.name == "mean" and len(layers) > 0:
                found[:, :, projection] = _geometric_mean(curve)[:, None]
        return found


def _mad(differences: Array, errors: Array) -> Array:
    """Absolute differences [resample, layer] and their standard errors → [resample, 3]."""
    from scipy.special import erfc

    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.where(errors > 0, differences / errors, np.inf)
        added = errors * (np.sqrt(2 / np.pi) * np.exp(-(far**2) / 2))
        added -= differences * erfc(far / np.sqrt(2))
    mad, noise = differences.mean(-1), added.mean(-1)
    return np.stack([mad - noise / SHOWN, mad - noise, mad], axis=-1)


def _geometric_mean(curves: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(curves > 0, np.log(curves), np.nan)
    mean: Array = np.exp(logs.mean(-1))
    return mean


def _errors_of_differences(values: Array) -> Array:
    """The standard error of each difference of adjacent layers of the mean curve."""
    values = values[np.isfinite(values).all(-1)]
    if len(values) < 2:
        return np.zeros(max(values.shape[-1] - 1, 0))
    errors: Array = np.diff(values).std(0, ddof=1) / np.sqrt(len(values))
    return errors


def _inside(depth: int, segment: Segment) -> slice:
    """The places of a segment's layers among all."""
    if segment == "all":
        return slice(0, depth)
    place = ("early", "mid", "last").index(segment)
    edges = [0, *accumulate(segments(depth))]
    return slice(edges[place], edges[place + 1])
