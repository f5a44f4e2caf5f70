"""How many independent cells the cells of a claim are worth.

Projections and models on the same items mostly move together, so "8 of 8 cells support it" may be
little more than one vote. The effective number of cells is (Σ λ)² / Σ λ², where λ are the
eigenvalues of the correlation matrix of the cells' effects over resamples of the items (Bretherton
et al. 1999). That is all cells if none are correlated, and 1 if all are equal. Cells on different
benchmarks have different items and are not correlated.
"""

from collections.abc import Iterable

import numpy as np

from gradpipe.claims.inference.bootstrap import finite_mean
from gradpipe.claims.inference.decisions import LOG_ROUNDING
from gradpipe.claims.values import Array


def squared_correlations(resampled: Array, units: int) -> float:
    """The sum of all squared correlations of cells, with themselves too: [resample, cell] → number.

    It equals Σ λ². A squared correlation r² that ``units`` independent items show is on average
    1 / (units − 1) if the true one is 0, so (r² (units − 1) − 1) / (units − 2) replaces it, which
    has no such bias.
    """
    cells = int(resampled.shape[1])
    finite = np.isfinite(resampled)
    centered = np.where(finite, resampled - finite_mean(resampled), 0.0)
    norms = np.sqrt((centered**2).sum(0))
    unit = centered / np.where(norms > LOG_ROUNDING, norms, np.inf)
    correlations: Array = unit.T @ unit
    off_diagonal = ~np.eye(cells, dtype=bool)
    squares = correlations[off_diagonal] ** 2
    if units > 2:
        squares = (squares * (units - 1) - 1) / (units - 2)
    return float(cells + np.clip(squares.sum(), 0, cells * (cells - 1)))


def independent_cells(benchmarks: Iterable[tuple[int, float]]) -> float | None:
    """The effective number of cells, from the cells and squared correlations of each benchmark.

    None without any cell.
    """
    pairs = list(benchmarks)
    cells, squares = sum(count for count, _ in pairs), sum(one for _, one in pairs)
    return cells**2 / squares if cells else None
