"""One effect over many cells: the mean of their log ratios, and how sure it is.

Benchmarks have items of their own and are independent. Models and projections on one benchmark
share its items and are resampled together, so what counts there is the spread of their sum. The
variance of the mean is that of the benchmarks' sums, added; its degrees of freedom are those of
Welch and Satterthwaite. It speaks of the models and benchmarks that were run, not of others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.bootstrap import degrees_of_freedom, standard_error
from gradpipe.claims.decisions import decide
from gradpipe.claims.effects import Bound, Effects


@dataclass(frozen=True)
class Share:
    """What the cells of one benchmark sum to; ``least`` and ``most`` with their standard errors."""

    cells: int
    effect: float
    least: tuple[float, float]
    most: tuple[float, float]
    degrees_of_freedom: float
    items: int


def share_of(effects: Sequence[Effects], counted: Sequence[NDArray[np.bool_]]) -> Share | None:
    """A benchmark's share, from those projections of its effects that are ``counted``."""
    if not any(kept.any() for kept in counted):
        return None
    pairs = list(zip(effects, counted, strict=True))
    items = min(int(one.items[kept].min()) for one, kept in pairs if kept.any())

    def total(bounds: Sequence[Bound]) -> tuple[float, float]:
        kept = list(zip(bounds, counted, strict=True))
        resampled = sum(bound.resampled[:, of].sum(1, keepdims=True) for bound, of in kept)
        value = sum(float(bound.value[of].sum()) for bound, of in kept)
        return value, float(standard_error(np.asarray(resampled), items)[0])

    return Share(
        sum(int(kept.sum()) for kept in counted),
        sum(float(one.effect[kept].sum()) for one, kept in pairs),
        total([one.least for one in effects]),
        total([one.most for one in effects]),
        float(degrees_of_freedom(items)),
        max(int(one.items[kept].max()) for one, kept in pairs if kept.any()),
    )


def combine(shares: Sequence[Share], region: tuple[float, float]) -> dict[str, float | int | None]:
    """The mean effect over all cells: log ratios, p-values, and how many items and cells it has."""
    names = ("effect", "low", "high", "supported_p", "contradicted_p")
    if not shares:
        return dict.fromkeys(names) | {"items": None}
    cells = sum(share.cells for share in shares)
    free = np.array([_degrees_of_freedom(shares)])

    def mean(ends: Sequence[tuple[float, float]]) -> tuple[NDArray[np.float64], ...]:
        values, errors = np.array(ends).T
        return np.array([values.sum() / cells]), np.array([np.sqrt((errors**2).sum()) / cells])

    least, most = mean([s.least for s in shares]), mean([s.most for s in shares])
    decided = decide((least[0], least[1]), (most[0], most[1]), free, region)
    effect = sum(share.effect for share in shares) / cells
    values = (decided.low, decided.high, decided.supported_p, decided.contradicted_p)
    told: list[float | int | None] = [effect, *(float(value[0]) for value in values)]
    items = sum(share.items for share in shares)
    return dict(zip((*names, "items"), [*told, items], strict=True))


def _degrees_of_freedom(shares: Sequence[Share]) -> float:
    variances = np.array([(share.least[1] ** 2 + share.most[1] ** 2) / 2 for share in shares])
    free = np.array([share.degrees_of_freedom for share in shares])
    if not variances.any():
        return float(free.sum())
    return float(variances.sum() ** 2 / (variances**2 / free).sum())
