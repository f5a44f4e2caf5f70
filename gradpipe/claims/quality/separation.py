"""Which of two statistics separates two sets of examples better, by the ratio of their AUROCs.

The AUROC of a statistic is the probability that it orders a random example of each set as claimed
(see ``statistics.detection``, which has the same values), of the mean over layers.
Both are of the same examples, so they are resampled together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradpipe.claims.effects import Cells, Effects
from gradpipe.claims.measured_claims import MeasuredClaim
from gradpipe.claims.quality.two_samples import Comparison, ItemSample, unpaired_effects
from gradpipe.claims.values import Array, CellValues


@dataclass(frozen=True, kw_only=True)
class SeparationClaim(MeasuredClaim):
    """The claim that ``statistic`` separates two styles better than the statistic ``against`` does.

    ``statistic`` is expected to be larger for the first of the two terms. ``against`` may separate
    in either direction: it counts with the larger of its AUROC A and 1 − A, whichever the examples
    show, so that an inverse order is not taken for a poor separation.
    """

    against: str

    @property
    def statistics(self) -> tuple[str, ...]:
        """Both statistics."""
        return (self.statistic, self.against)

    def measure(self, cells: Cells, seed: int, resamples: int) -> list[Effects]:
        """One effect per model: the log of the ratio of the two AUROCs."""
        return unpaired_effects(self, cells, seed, resamples, _compare)


def _compare(samples: Sequence[ItemSample], cells: Sequence[CellValues]) -> Comparison:
    first, second = ([_layer_means(sample.values(cell)) for cell in cells] for sample in samples)
    # Of both statistics, the examples that have both.
    usable = [np.isfinite(side[0]) & np.isfinite(side[1]) for side in (first, second)]
    values, resampled = [], []
    for projection in range(len(cells[0].projections)):
        kept = [side[:, projection] for side in usable]
        counts = [sample.counts[:, used] for sample, used in zip(samples, kept, strict=True)]
        areas = [
            _areas(one[kept[0], projection], other[kept[1], projection], counts)
            for one, other in zip(first, second, strict=True)
        ]
        value, moved = _ratio(*areas)
        values.append(value)
        resampled.append(moved)
    fewest = np.minimum(*(used.sum(0) for used in usable))
    return Comparison(np.array(values), np.array(resampled).T, fewest)


def _layer_means(values: Array) -> Array:
    """The mean over the layers that a projection has: [item, projection, layer] → [item, ...]."""
    present = np.isfinite(values).any(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = np.where(present, values, 0.0).sum(-1) / present.sum(-1)
    return means


def _areas(one: Array, other: Array, counts: Sequence[Array]) -> tuple[float, Array]:
    """The AUROC of two samples, and of their resamples; NaN without examples."""
    ordered = (np.sign(one[:, None] - other[None, :]) + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = counts[0].sum(-1) * counts[1].sum(-1)
        resampled = ((counts[0] @ ordered) * counts[1]).sum(-1) / pairs
    return float(ordered.mean()) if ordered.size else np.nan, resampled


def _ratio(area: tuple[float, Array], against: tuple[float, Array]) -> tuple[float, Array]:
    """The log of the ratio of two AUROCs, the second in its own direction, and its changes."""
    (value, moved), (other, other_moved) = area, against
    if other < 1 / 2:
        other, other_moved = 1 - other, 1 - other_moved
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = float(np.log(value) - np.log(other)) if value > 0 else np.nan
        # To first order: the AUROC of a resample may be 0.
        return ratio, moved / value - other_moved / other
