"""How many independent cells the cells of a claim are worth."""

import numpy as np
import pytest

from gradpipe.claims.inference.independence import independent_cells, squared_correlations

RESAMPLES = 2000


def resampled(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of resampled items: [item, cell] → [resample, cell]."""
    items = len(values)
    counts = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), RESAMPLES)
    return np.asarray(counts @ values / items)


def correlated(items: int, cells: int, correlation: float, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    shared, own = draw.normal(size=(items, 1)), draw.normal(size=(items, cells))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def worth(values: np.ndarray) -> float:
    cells = values.shape[1]
    found = independent_cells([(cells, squared_correlations(resampled(values), len(values)))])
    assert found is not None
    return found


def test_it_is_the_formula_of_eigenvalues() -> None:
    values = resampled(correlated(4000, 6, 0.6))
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(values.T))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert independent_cells([(6, squared_correlations(values, 4000))]) == pytest.approx(
        expected, rel=1e-3
    )


def test_equal_cells_are_worth_one_and_eight_projections_at_0_9_little_more() -> None:
    assert worth(np.repeat(correlated(40, 1, 0.0), 8, axis=1)) == pytest.approx(1, rel=1e-6)
    assert worth(correlated(400, 8, 0.9)) == pytest.approx(8 / (1 + 7 * 0.81), rel=0.1)


@pytest.mark.parametrize("items", [12, 24, 100])
def test_uncorrelated_cells_are_all_worth_one_even_with_few_items(items: int) -> None:
    found = [worth(correlated(items, 40, 0.0, seed)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(40, rel=0.1)


def test_benchmarks_are_not_correlated_and_nothing_is_worth_nothing() -> None:
    assert independent_cells([(4, 16.0), (4, 16.0)]) == 2
    assert independent_cells([(1, 1.0), (1, 1.0)]) == 2
    assert independent_cells([]) is None


def test_a_cell_without_any_spread_is_correlated_with_none() -> None:
    values = correlated(200, 3, 0.0)
    values[:, 2] = 5.0
    assert worth(values) == pytest.approx(3, rel=0.05)
