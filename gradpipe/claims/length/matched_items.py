"""Responses to different items compared at equal length: by matched pairs, and by regression.

An example's size is the mean over layers of the log of its own statistic. Both methods compare only
examples of lengths that both samples have, and neither extrapolates:

- "matched": pairs of one example of each sample whose lengths differ by at most the caliper, 0.2
  standard deviations of the log lengths (Austin 2011), but no more than LARGEST_CALIPER. As many
  pairs as possible are formed; the effect is the mean difference within pairs.
- "regression": analysis of covariance, size = a + β · sample + λ · log tokens with one slope for
  both samples, among the examples inside the overlap of the two ranges of lengths. The effect is β.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.effects import Cells, Effects
from gradpipe.claims.measured_claims import MeasuredClaim
from gradpipe.claims.quality.two_samples import Comparison, ItemSample, unpaired_effects
from gradpipe.claims.values import Array, CellValues

CALIPER_DEVIATIONS = 0.2
LARGEST_CALIPER = log(1.25)

#: Squared log lengths whose sum is below this are rounding errors: all lengths are equal.
_LEAST_SPREAD = 1e-12

_Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EqualLengthClaim(MeasuredClaim):
    """A claim on the sizes of two styles' curves, with length controlled for by ``control``."""

    control: Literal["matched", "regression"]

    @property
    def statistics(self) -> tuple[str, ...]:
        """The claim's statistic, and the number of response tokens."""
        return (self.statistic, "response_tokens")

    def measure(self, cells: Cells, seed: int, resamples: int) -> list[Effects]:
        """One effect per model; ``items`` are the pairs, or the examples of the smaller side."""
        return unpaired_effects(self, cells, seed, resamples, self._compare)

    def _compare(self, samples: Sequence[ItemSample], cells: Sequence[CellValues]) -> Comparison:
        sizes, lengths = [], []
        for sample in samples:
            values = sample.values(cells[0])
            sizes.append(_mean_logs(values))
            tokens = sample.values(cells[1])
            lengths.append(np.log(np.fmax.reduce(tokens, axis=(1, 2))))
        counts = [sample.counts for sample in samples]
        compare = _matched if self.control == "matched" else _regressed
        return compare(sizes, lengths, counts)


def match_lengths(one: Array, other: Array, caliper: float) -> tuple[_Ints, _Ints]:
    """The most pairs of positions in two arrays of log lengths that differ by at most ``caliper``.

    No position is used twice, and NaN is in no pair. Pairing both in sorted order, each with the
    first that is near enough, gives the largest number of pairs.
    """
    order, against = (np.argsort(lengths)[: np.isfinite(lengths).sum()] for lengths in (one, other))
    pairs: list[tuple[int, int]] = []
    left = right = 0
    while left < len(order) and right < len(against):
        difference = one[order[left]] - other[against[right]]
        if abs(difference) <= caliper:
            pairs.append((order[left], against[right]))
        # The shorter one has found its partner, or is too short for all that follow.
        left += difference <= caliper
        right += difference >= -caliper
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _mean_logs(values: Array) -> Array:
    """The mean over layers of the log of each example's values: [item, projection].

    NaN for an example without a positive value at some layer that the projection has.
    """
    present = np.isfinite(values).any(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(present, np.log(np.where(values > 0, values, np.nan)), 0.0)
        means: Array = logs.sum(-1) / present.sum(-1)
    return means


def _matched(
    sizes: Sequence[Array], lengths: Sequence[Array], counts: Sequence[Array]
) -> Comparison:
    usable = [
        np.where(np.isfinite(size).any(-1), length, np.nan)
        for size, length in zip(sizes, lengths, strict=True)
    ]
    spread = float(np.nanstd(np.concatenate(usable)))
    caliper = min(CALIPER_DEVIATIONS * spread, LARGEST_CALIPER)
    first, second = match_lengths(usable[0], usable[1], caliper)
    differences = sizes[0][first] - sizes[1][second]
    known = np.isfinite(differences)
    filled = np.where(known, differences, 0.0)
    # A pair is drawn as often as its first example.
    drawn = counts[0][:, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = filled.sum(0) / known.sum(0)
        resampled = (drawn @ filled) / (drawn @ known)
    return Comparison(value, resampled, known.sum(0))


def _regressed(
    sizes: Sequence[Array], lengths: Sequence[Array], counts: Sequence[Array]
) -> Comparison:
    shortest = max(np.nanmin(length) for length in lengths)
    longest = min(np.nanmax(length) for length in lengths)
    inside = [
        np.isfinite(size) & ((length >= shortest) & (length <= longest))[:, None]
        for size, length in zip(sizes, lengths, strict=True)
    ]
    # Lengths from the middle of the overlap, which rounds the sums of squares least.
    middle = (shortest + longest) / 2
    centered = [length - middle for length in lengths]

    def effect(drawn: Sequence[Array]) -> Array:
        sides = [_moments(*side) for side in zip(sizes, centered, inside, drawn, strict=True)]
        (mean_y, mean_x, _, _), (other_y, other_x, _, _) = sides
        products, squares = (sum(side[place] for side in sides) for place in (2, 3))
        slope = np.where(squares > _LEAST_SPREAD, products / squares, 0.0)
        return np.asarray((mean_y - other_y) - slope * (mean_x - other_x))

    with np.errstate(invalid="ignore", divide="ignore"):
        value = effect([np.ones((1, len(length))) for length in lengths])[0]
        resampled = effect(counts)
    return Comparison(value, resampled, np.minimum(*(kept.sum(0) for kept in inside)))


def _moments(
    size: Array, length: Array, inside: NDArray[np.bool_], counts: Array
) -> tuple[Array, Array, Array, Array]:
    """Means of size and length, and sums of their products and of squared lengths around them.

    ``size`` and ``inside`` are [item, projection], ``counts`` [resample, item]; each result is
    [resample, projection].
    """
    x = np.where(inside, length[:, None], 0.0)
    y = np.where(inside, size, 0.0)
    number = counts @ inside
    mean_x, mean_y = counts @ x / number, counts @ y / number
    products = counts @ (x * y) - number * mean_x * mean_y
    return mean_y, mean_x, products, counts @ x**2 - number * mean_x**2
