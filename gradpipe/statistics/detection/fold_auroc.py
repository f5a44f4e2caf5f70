"""The AUROC of scores that a model per fold gave to the responses that it was not trained on.

Scores of two models have no common scale. So responses are compared within their fold only, and the
AUROC is the mean over folds, weighted by their items.

The interval is of the average model of cross-validation, as far as it can be known: no unbiased
estimate of the variance exists (Bengio and Grandvalet 2004). The variance of the scores with each
model as it is, which DeLong's method gives, leaves out that the models share most of their training
data. It is therefore multiplied by 1 + K / (K − 1) for K folds, the correction of Nadeau and Bengio
(2003).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.statistics.detection.discrimination import auroc_interval
from gradpipe.statistics.detection.grouped_folds import Ints
from gradpipe.statistics.t_intervals import t_quantiles

Floats = NDArray[np.float64]
#: A value with the ends of its 95 % interval.
Estimate = tuple[float, float, float]


@dataclass(frozen=True)
class FoldAuroc:
    """An AUROC, and how far each cluster of items moves it: ``influence`` [cluster]."""

    auroc: float
    influence: Floats
    items: int
    folds: int

    def estimate(self) -> Estimate:
        """The AUROC with Wilson's interval, as ``gp.discrimination`` has it."""
        clusters = len(self.influence)
        frame = pl.DataFrame(
            {
                "auroc": self.auroc,
                "squares": self._variance(self.influence) * (clusters - 1) / clusters,
                "clusters": float(clusters),
                "first_responses": self.items,
                "second_responses": self.items,
            }
        )
        low, high = frame.select(auroc_interval()).row(0)
        return self.auroc, float(low), float(high)

    def over(self, other: "FoldAuroc") -> Estimate:
        """How much larger this AUROC is than another of the same items, with a t interval.

        An AUROC of 1 has no variance in the data, though it is not known to be 1. With one, the
        interval is Newcombe's for a difference of proportions (1998, method 10), from both
        Wilson intervals.
        """
        difference = self.auroc - other.auroc
        if not self.influence.any() or not other.influence.any():
            return self._over_by_score(other)
        error = self._variance(self.influence - other.influence) ** 0.5
        reach = float(t_quantiles(len(self.influence) - self.folds)) * error
        return difference, max(difference - reach, -1.0), min(difference + reach, 1.0)

    def _over_by_score(self, other: "FoldAuroc") -> Estimate:
        (one, one_low, one_high), (two, two_low, two_high) = self.estimate(), other.estimate()
        difference = one - two
        below, above = (
            np.hypot(one - one_low, two_high - two),
            np.hypot(one_high - one, two - two_low),
        )
        return difference, max(difference - float(below), -1.0), min(difference + float(above), 1.0)

    def _variance(self, influence: Floats) -> float:
        """The variance of a sum of influences, with Nadeau and Bengio's factor.

        One degree of freedom is used up by the mean of each fold.
        """
        clusters = len(influence)
        spread = float((influence**2).sum()) * clusters / (clusters - self.folds)
        return (1 + self.folds / (self.folds - 1)) * spread


def fold_auroc(first: Floats, second: Floats, folds: Ints, clusters: Ints) -> FoldAuroc:
    """The mean AUROC within ``folds`` [item] of the scores [item] of either kind.

    ``clusters`` [item] numbers the independent sets of items from 0. The influence of an item is
    that of DeLong, DeLong and Clarke-Pearson (1988): the share of the other kind that its first
    score exceeds, and the share that exceeds its second, less their means in the fold. Ties count
    half.
    """
    wins = np.sign(first[:, None] - second[None, :]) / 2 + 0.5
    together = folds[:, None] == folds[None, :]
    size = together.sum(1)
    exceeded = (wins * together).sum(1) / size
    exceeding = (wins * together).sum(0) / size
    of_fold = (together @ exceeded) / size
    influence = (exceeded + exceeding - 2 * of_fold) / len(first)
    return FoldAuroc(
        auroc=float(exceeded.mean()),
        influence=np.bincount(clusters, influence).astype(np.float64),
        items=len(first),
        folds=len(np.unique(folds)),
    )
