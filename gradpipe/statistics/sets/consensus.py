"""Consensus of a set of gradients: how far single gradients agree with the set's mean.

Both measures are of the unit vectors ĝ along the gradients, and both are means over pairs or
triples of different examples (U-statistics). So an example is never compared with itself, and
neither the noise of a mean of few examples nor that of sketches raises them:

    mean cosine = E⟨ĝᵢ, ĝⱼ⟩ = ‖μ‖², μ = E ĝ
    mean share  = E⟨ĝᵢ, ĝⱼ⟩⟨ĝᵢ, ĝₖ⟩ / E⟨ĝⱼ, ĝₖ⟩ = E⟨ĝ, μ⟩² / ‖μ‖²

The mean share is the share of a gradient's energy (its squared norm) along the direction of the
mean. Standard errors are those of the jackknife over examples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
#: Fewer examples have no triples without each of them.
_LEAST_EXAMPLES = 4


class Consensus(NamedTuple):
    """Two measures of agreement with their standard errors; NaN where not defined.

    ``mean_share`` is not defined if the mean cosine is not positive.
    """

    mean_cosine: float
    mean_cosine_error: float
    mean_share: float
    mean_share_error: float


def consensus(cosines: _Array) -> Consensus:
    """Compute how far a set's gradients agree, from their cosines [n, n]."""
    n = len(cosines)
    if n < _LEAST_EXAMPLES:
        return Consensus(*[float("nan")] * 4)
    others = cosines - np.diag(np.diag(cosines))
    sums, squares = others.sum(0), (others**2).sum(0)
    # The sums over pairs and triples of different examples, and the same without each example:
    # as one of the pair, in the middle of the triple, and at one of its two ends.
    pairs = sums.sum()
    triples = (sums**2 - squares).sum()
    pairs_without = pairs - 2 * sums
    ends = 2 * (others @ sums - squares)
    triples_without = triples - (sums**2 - squares) - ends
    values = _measures(pairs, triples, n)
    without = _measures(pairs_without, triples_without, n - 1)
    errors = [jackknife_error(part) for part in without]
    return Consensus(float(values[0]), errors[0], float(values[1]), errors[1])


def jackknife_error(without: _Array) -> float:
    """The standard error of a statistic from its values without each example [n] (Tukey 1958)."""
    n = len(without)
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def _measures(pairs: _Array, triples: _Array, n: int) -> tuple[_Array, _Array]:
    """Mean cosine and mean share from the sums over pairs and triples of n examples."""
    cosine = np.asarray(pairs / (n * (n - 1)))
    positive = np.where(cosine > 0, cosine, np.nan)
    return cosine, triples / (n * (n - 1) * (n - 2)) / positive
