"""Ratios of curves and their errors, compared with a computation row by row."""

import math

import polars as pl
import pytest

from gradpipe.report.chart_data import (
    drawn_curves,
    layer_differences,
    relevance_ratio_table,
    style_ratio_table,
)
from gradpipe.report.report_data import ReportInputs


@pytest.fixture(scope="module")
def curves(inputs: ReportInputs) -> pl.DataFrame:
    return drawn_curves(inputs.curves.filter(statistic="nuclear_norm"))


def value(curves: pl.DataFrame, column: str, **keys: object) -> float:
    return float(curves.filter(**keys)[column].item())


def test_a_ratio_of_styles_has_the_delta_methods_error(curves: pl.DataFrame) -> None:
    ratios = style_ratio_table(curves.filter(relevance="correct"))
    assert set(ratios.filter(benchmark="mini_maths")["pair"]) == {
        "none / simplified",
        "none / detailed",
        "simplified / detailed",
    }
    where = {"benchmark": "mini_maths", "projection": "v", "layer": 11, "relevance": "correct"}
    a, b = ({**where, "style": style} for style in ("none", "detailed"))
    ratio = value(curves, "mean", **a) / value(curves, "mean", **b)
    error = ratio * math.hypot(
        value(curves, "se", **a) / value(curves, "mean", **a),
        value(curves, "se", **b) / value(curves, "mean", **b),
    )
    row = ratios.filter(pair="none / detailed", **where).row(0, named=True)
    assert row["ratio"] == pytest.approx(ratio)
    assert row["se"] == pytest.approx(error)
    assert (row["low"], row["high"]) == pytest.approx((ratio - error, ratio + error))


def test_irrelevant_is_divided_by_correct_and_its_largest_layers_are_rds(
    curves: pl.DataFrame, inputs: ReportInputs
) -> None:
    ratios = relevance_ratio_table(curves)
    assert set(ratios["relevance"]) == {"irrelevant"}
    assert ratios.height == curves.height / 2
    rows = layer_differences(curves).filter(benchmark="mini_maths", style="none", projection="q")
    expected = inputs.rd.filter(
        benchmark="mini_maths", style="none", projection="q", statistic="nuclear_norm"
    ).row(0, named=True)
    assert rows["rd"].mean() == pytest.approx(expected["rd"])
    assert set(rows.filter("largest")["layer"]) == set(expected["largest_layers"])


def test_a_curve_that_is_not_positive_has_no_ratio(curves: pl.DataFrame) -> None:
    zero = curves.with_columns(
        pl.when(pl.col("style") == "detailed").then(0.0).otherwise("mean").alias("mean")
    )
    pairs = set(style_ratio_table(zero.filter(benchmark="mini_maths"))["pair"])
    assert pairs == {"none / simplified"}
