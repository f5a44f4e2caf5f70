"""Skewed items: how far they may move a mean, and how many of them count."""

import numpy as np
import pytest

from gradpipe.claims.inference.skew import effective_count, item_levels, lognormal_gap


def test_the_gap_is_that_of_a_slow_loop_over_used_items() -> None:
    values = np.random.default_rng(1).lognormal(0, 1, (9, 2, 3))
    values[4] = np.nan
    values[7, 0, 1] = np.nan
    found = lognormal_gap(values)
    for place in np.ndindex(2, 3):
        used = [value for value in values[(slice(None), *place)] if np.isfinite(value)]
        logs = np.log(used)
        expected = logs.mean() + logs.var(ddof=1) / 2 - np.log(np.mean(used))
        assert found[place] == pytest.approx(expected)


def test_a_large_log_normal_sample_has_no_gap_and_a_small_one_is_mostly_too_low() -> None:
    draw = np.random.default_rng(2)
    assert lognormal_gap(draw.lognormal(0, 1, 400_000)) == pytest.approx(0, abs=0.01)
    assert np.median(lognormal_gap(draw.lognormal(0, 1.5, (16, 4000)))) > 0.1


def test_equal_items_single_items_and_values_without_a_log_have_no_gap() -> None:
    assert lognormal_gap(np.full(10, 0.3)) == 0
    assert lognormal_gap(np.array([3.0])) == 0
    assert lognormal_gap(np.array([3.0, 5.0, 0.0])) == 0
    assert lognormal_gap(np.full((4, 2), np.nan)).tolist() == [0, 0]


def test_equal_units_all_count_and_one_large_unit_counts_alone() -> None:
    weights = np.array([[2.0, 1e9, 0.0, 3.0], [2.0, 1.0, 0.0, 1.0], [2.0, 1.0, 0.0, 0.0]])
    assert effective_count(weights) == pytest.approx([3, 1, 1, 16 / 10])


def test_levels_are_means_over_the_layers_that_an_item_has() -> None:
    values = np.array([[[1.0, 2.0, np.nan]], [[np.nan, np.nan, np.nan]]])
    np.testing.assert_array_equal(item_levels(values), [[1.5], [np.nan]])
