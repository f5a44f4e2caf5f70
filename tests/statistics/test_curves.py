"""Curves: the mean comes first, over examples that have the whole curve."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
import pytest

from gradpipe.statistics.curves import CURVE_LABELS, curves
from gradpipe.statistics.differences import mad

NAMES = ("nuclear_norm", "stable_rank")


def twin(statistics: pl.DataFrame) -> dict[tuple[Any, ...], tuple[float, float | None, int]]:
    """(curve, statistic, layer) → mean, sd, examples: by loops over rows."""
    values: dict[tuple[Any, ...], dict[str, dict[int, Any]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in statistics.iter_rows(named=True):
        for name in NAMES:
            key = (*(row[column] for column in CURVE_LABELS), name)
            values[key][row["item_id"]][row["layer"]] = row[name]
    found: dict[tuple[Any, ...], tuple[float, float | None, int]] = {}
    for key, examples in values.items():
        whole = [
            layers
            for layers in examples.values()
            if all(value is not None and math.isfinite(value) for value in layers.values())
        ]
        for layer in whole[0] if whole else ():
            column = np.array([layers[layer] for layers in whole])
            sd = float(column.std(ddof=1)) if len(column) > 1 else None
            found[*key, layer] = float(column.mean()), sd, len(column)
    return found


def example(item: str, values: list[float | None], **of: str) -> pl.DataFrame:
    names = dict.fromkeys(CURVE_LABELS, "x") | {"item_id": item} | of
    return pl.DataFrame(
        {"layer": range(len(values)), "nuclear_norm": values},
        schema={"layer": pl.Int64, "nuclear_norm": pl.Float64},
    ).with_columns(pl.lit(value).alias(name) for name, value in names.items())


def test_curves_equal_a_slow_twin(statistics: pl.DataFrame) -> None:
    expected = twin(statistics)
    found = curves(statistics.lazy(), NAMES)
    rows = {row[:8]: row[8:] for row in found.iter_rows()}
    assert rows.keys() == expected.keys()
    for key, (mean, sd, examples) in expected.items():
        assert rows[key][0] == pytest.approx(mean, rel=1e-12), key
        assert rows[key][1] == (sd if sd is None else pytest.approx(sd, rel=1e-12)), key
        assert rows[key][2] == examples, key
    assert 0 < len(expected) < statistics.height * 2
    assert found["examples"].unique().sort().to_list() != [4]


def test_a_curve_has_its_columns_sorted_and_typed(statistics: pl.DataFrame) -> None:
    found = curves(statistics.lazy(), NAMES)
    order = [*CURVE_LABELS, "statistic", "layer"]
    assert found.columns == [*order, "mean", "sd", "examples"]
    assert found.equals(found.sort(order))
    assert found.schema["examples"] == found.schema["layer"] == pl.Int64
    assert found.select(pl.col("mean").is_finite().all()).item()


@pytest.mark.parametrize("hole", [None, math.nan, math.inf])
def test_an_example_that_lacks_one_layer_is_left_out_of_the_whole_curve(hole: float | None) -> None:
    statistics = pl.concat([example("a", [1.0, 2.0, 3.0]), example("b", [10.0, hole, 30.0])])
    found = curves(statistics.lazy(), ["nuclear_norm"])
    assert found["mean"].to_list() == [1.0, 2.0, 3.0]
    assert found["sd"].to_list() == [None, None, None]
    assert found["examples"].to_list() == [1, 1, 1]


def test_it_is_left_out_of_that_curve_only() -> None:
    whole = example("a", [1.0, 2.0])
    holed = example("b", [5.0, None])
    other = example("b", [5.0, 6.0], projection="o")
    both = [whole, holed, other, example("a", [3.0, 4.0], projection="o")]
    found = curves(pl.concat(both).lazy(), ["nuclear_norm"])
    assert found.filter(projection="x")["mean"].to_list() == [1.0, 2.0]
    assert found.filter(projection="o")["mean"].to_list() == [4.0, 5.0]


def test_one_statistic_without_a_value_leaves_the_others_their_example() -> None:
    statistics = example("a", [1.0, 2.0]).with_columns(
        stable_rank=pl.Series([None, 3.0], dtype=pl.Float64)
    )
    found = curves(statistics.lazy(), NAMES)
    assert found["statistic"].unique().to_list() == ["nuclear_norm"]


def test_a_curve_without_any_whole_example_is_absent() -> None:
    found = curves(example("a", [None, 2.0]).lazy(), ["nuclear_norm"])
    assert found.height == 0
    assert mad(found).height == 0


def test_the_mean_comes_before_the_differences() -> None:
    # Two examples that jump by one at every layer, in turn: their mean does not move at all.
    up, down = [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    together = curves(pl.concat([example("a", up), example("b", down)]).lazy(), ["nuclear_norm"])
    alone = [curves(example("a", v).lazy(), ["nuclear_norm"]) for v in (up, down)]

    def whole(frame: pl.DataFrame) -> float:
        return float(mad(frame).filter(segment="all")["mad"].item())

    assert whole(together) == 0.0
    assert np.mean([whole(frame) for frame in alone]) == 1.0
