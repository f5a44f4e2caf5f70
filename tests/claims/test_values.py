"""One statistic as an array: what is left out, and mean curves under resampled items."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.values import CellValues, cell_values, mean_curves
from gradpipe.errors import DataError
from gradpipe.statistics.curves import curves

Make = Callable[..., CellValues]
Tabled = Callable[..., pl.DataFrame]
BOTH = {("none", "correct"): [1.0, 2.0, 4.0], ("detailed", "irrelevant"): [3.0, 3.5, 3.0]}


@pytest.fixture
def whole(cell: Make) -> CellValues:
    return cell(3, 5, BOTH)


def spoilt(table: pl.DataFrame, value: float | None) -> pl.DataFrame:
    """One value of one example of style none replaced."""
    there = (
        (pl.col("item_id") == "item0002")
        & (pl.col("style") == "none")
        & (pl.col("layer") == 1)
        & (pl.col("projection") == "q")
    )
    return table.with_columns(
        pl.when(there).then(value).otherwise("nuclear_norm").alias("nuclear_norm")
    )


def test_a_table_comes_back_as_the_array_it_was_made_from(
    whole: CellValues, table_of: Tabled
) -> None:
    table = table_of(whole).sample(fraction=1.0, shuffle=True, seed=5)
    for given in (table, table.lazy()):
        read = cell_values(given, "nuclear_norm")
        assert (read.model, read.benchmark, read.family) == ("m", "b", "math")
        assert read.items == whole.items
        assert read.curves == whole.curves
        assert read.projections == whole.projections
        assert read.layers == whole.layers
        np.testing.assert_array_equal(read.values, whole.values)


@pytest.mark.parametrize("hole", [None, np.nan, np.inf])
def test_an_example_without_a_value_at_one_layer_is_left_out_of_that_curve_only(
    whole: CellValues, table_of: Tabled, hole: float | None
) -> None:
    read = cell_values(spoilt(table_of(whole), hole), "nuclear_norm")
    none = read.curves.index(("none", "correct"))
    assert np.isnan(read.values[2, none, 0]).all()
    assert np.isfinite(read.values[2, none, 1]).all()
    assert np.isnan(read.values).sum() == 3


def test_mean_curves_are_those_of_the_tables(whole: CellValues, table_of: Tabled) -> None:
    table = spoilt(table_of(whole), None).filter(
        (pl.col("item_id") != "item0004") | (pl.col("style") == "none")
    )
    expected = curves(table.lazy(), ["nuclear_norm"])
    read = cell_values(table, "nuclear_norm")
    means = mean_curves(read.values, np.ones((1, len(read.items))))[0]
    for row in expected.to_dicts():
        place = read.curves.index((row["style"], row["relevance"]))
        found = means[place, read.projections.index(row["projection"]), row["layer"]]
        assert found == pytest.approx(row["mean"], rel=1e-12)
    assert expected.height == means.size


def test_an_item_that_is_drawn_twice_counts_twice(whole: CellValues) -> None:
    counts = np.array([[2, 0, 1, 0, 2], [0, 0, 0, 5, 0]])
    means = mean_curves(whole.values, counts)
    drawn = whole.values[[0, 0, 2, 4, 4]]
    np.testing.assert_allclose(means[0], drawn.mean(0), rtol=1e-12)
    np.testing.assert_allclose(means[1], whole.values[3], rtol=1e-12)


def test_a_curve_of_which_nothing_was_drawn_is_not_a_number(whole: CellValues) -> None:
    values = whole.values.copy()
    values[1:, 0, 0] = np.nan
    means = mean_curves(values, np.array([[0, 5, 0, 0, 0]]))
    assert np.isnan(means[0, 0, 0]).all()
    assert np.isfinite(means[0, 0, 1]).all()


def test_a_layer_that_lacks_a_projection_leaves_its_examples_in(
    whole: CellValues, table_of: Tabled
) -> None:
    table = table_of(whole).filter((pl.col("projection") == "q") | (pl.col("layer") != 1))
    read = cell_values(table, "nuclear_norm")
    means = mean_curves(read.values, np.ones((1, 5)))[0]
    assert np.isnan(means[:, 1, 1]).all()
    np.testing.assert_allclose(means[:, 1, [0, 2]], whole.values.mean(0)[:, 1, [0, 2]])


def test_two_models_in_one_table_are_refused(whole: CellValues, table_of: Tabled) -> None:
    table = table_of(whole)
    other = table.with_columns(pl.lit("other").alias("model"))
    with pytest.raises(DataError, match="2 combinations"):
        cell_values(pl.concat([table, other]), "nuclear_norm")
    with pytest.raises(DataError, match="0 combinations"):
        cell_values(table.clear(), "nuclear_norm")


def test_an_example_that_is_there_twice_is_refused(whole: CellValues, table_of: Tabled) -> None:
    table = table_of(whole)
    with pytest.raises(DataError, match="'m' on benchmark 'b' .* twice"):
        cell_values(pl.concat([table, table.head(1)]), "nuclear_norm")
