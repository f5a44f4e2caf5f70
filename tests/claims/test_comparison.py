"""Two sides compared, on tables of which the truth is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import gmean

from gradpipe.claims.comparison import (
    COMPARISON_SCHEMA,
    compare,
    compare_cells,
    extracted_statistics,
)
from gradpipe.errors import DataError, StudyError
from tests.claims.conftest import make_cell, make_table

CURVES = tuple((style, relevance) for style in ("detailed", "none") for relevance in ("correct",))


def side(
    seed: int | Sequence[int],
    size: float = 1.0,
    model: str = "one",
    benchmark: str = "b",
    items: int = 24,
    depth: int = 10,
    noise: float = 0.3,
    height: float = 3.0,
    first: int = 0,
    projections: Sequence[str] = ("k", "q"),
    curves: Sequence[tuple[str, str]] = CURVES,
) -> pl.DataFrame:
    """A table of statistics whose true curves are ``size`` times those of any other."""
    wave = size * (5 + height * np.sin(2.1 * np.arange(depth)))
    cell = make_cell(
        seed,
        items,
        dict.fromkeys(curves, wave),
        noise,
        model=model,
        benchmark=benchmark,
        projections=projections,
    )
    ids = tuple(f"item{place:04}" for place in range(first, first + items))
    return make_table(replace(cell, items=ids))


def test_a_planted_ratio_is_found_and_called_higher() -> None:
    found = compare_cells([(side(1, 2.0, "large"), side(2, 1.0, "small"))], ["nuclear_norm"])
    assert found.schema == COMPARISON_SCHEMA
    assert found.select("model", "benchmark").unique().rows() == [(None, "b")]
    assert found["style"].to_list() == ["none"] * 4 + ["detailed"] * 4
    assert found["projection"].to_list() == ["q", "q", "k", "k"] * 2
    assert found["quantity"].to_list() == ["mean", "mad"] * 4
    assert (found["verdict"] == "higher").all()
    assert ((found["low"] < 2) & (found["high"] > 2)).all()
    back = compare_cells([(side(2, 1.0, "small"), side(1, 2.0, "large"))], ["nuclear_norm"])
    assert (back["verdict"] == "lower").all()
    assert back["ratio"].to_list() == pytest.approx((1 / found["ratio"]).to_list())


def test_a_and_b_are_the_mean_and_mad_of_the_mean_curves() -> None:
    a, b = side(3), side(4, model="other", depth=6)
    row = compare_cells([(a, b)], ["nuclear_norm"]).filter(style="none", projection="k")
    for name, table in (("a", a), ("b", b)):
        curve = (
            table.filter(style="none", projection="k")
            .group_by("layer")
            .agg(pl.col("nuclear_norm").mean())
            .sort("layer")["nuclear_norm"]
        )
        assert row[name].to_list() == pytest.approx([gmean(curve), curve.diff().abs().mean()])


@pytest.mark.parametrize(
    ("paired", "depth"),
    [
        (True, 10),
        (False, 16),
        pytest.param(True, 16, marks=pytest.mark.slow),
        pytest.param(False, 10, marks=pytest.mark.slow),
    ],
)
def test_where_there_is_no_difference_few_are_decided(paired: bool, depth: int) -> None:
    """Ratios of curves that are alike, of models of one depth and of two."""
    waves = {layers: 5 + 3 * np.sin(2.1 * np.arange(layers)) for layers in (10, depth)}
    truth = {
        "mean": gmean(waves[10]) / gmean(waves[depth]),
        "mad": np.abs(np.diff(waves[10])).mean() / np.abs(np.diff(waves[depth])).mean(),
    }
    runs, held, decided = 60, [], 0
    for seed in range(runs):
        a = side([seed, 1], items=16, projections="q")
        b = side([seed, 2], model="other", items=16, depth=depth, projections="q")
        found = compare_cells([(a, b)], ["nuclear_norm"], seed, unpaired=not paired)
        of_row = found["quantity"].replace_strict(truth)
        held += ((found["low"] <= of_row) & (found["high"] >= of_row)).to_list()
        decided += depth == 10 and (found["verdict"] != "undecided").any()
    assert np.mean(held) > 0.9
    # At five in a hundred, eight or more of sixty happen once in a hundred.
    assert decided < 8


def test_noise_alone_makes_no_model_more_uneven() -> None:
    decided, levels = 0, []
    for seed in range(30):
        a = side([seed, 5], noise=0.2, height=1.0, projections="q", curves=CURVES[:1])
        b = side([seed, 6], 1.0, "noisy", noise=6.0, height=1.0, projections="q", curves=CURVES[:1])
        mad = compare_cells([(a, b)], ["nuclear_norm"], seed).filter(quantity="mad")
        levels.append(mad.select("a", "b").row(0))
        decided += (mad["verdict"] != "undecided").any()
    assert np.mean(levels, axis=0)[1] > 1.3 * np.mean(levels, axis=0)[0]
    assert decided <= 4


def test_items_of_both_sides_are_compared_with_themselves() -> None:
    a = side(7)
    b = a.with_columns(model=pl.lit("other"), nuclear_norm=pl.col("nuclear_norm") * 1.05)
    paired = compare_cells([(a, b)], ["nuclear_norm"])
    assert paired["paired"].all()
    assert (paired["verdict"] == "lower").all()
    apart = compare_cells([(a, b)], ["nuclear_norm"], unpaired=True)
    assert not apart["paired"].any()
    assert (apart["verdict"] == "undecided").all()
    assert (apart["high"] / apart["low"] > 1.2).all()


@pytest.mark.parametrize(
    ("first", "paired", "items"), [(0, True, 24), (6, True, 18), (20, False, 24), (99, False, 24)]
)
def test_most_items_must_be_the_same_for_them_to_be_paired(
    first: int, paired: bool, items: int
) -> None:
    found = compare_cells([(side(8), side(9, model="other", first=first))], ["nuclear_norm"])
    assert found["paired"].unique().to_list() == [paired]
    assert found.select("items_a", "items_b").unique().rows() == [(items, items)]


def test_unusable_examples_leave_their_own_curve_only() -> None:
    a = side(10).with_columns(
        pl.when((pl.col("item_id") == "item0002") & (pl.col("style") == "none"))
        .then(None)
        .otherwise("nuclear_norm")
        .alias("nuclear_norm")
    )
    found = compare_cells([(a, side(11, model="other"))], ["nuclear_norm"])
    counted = found.select("style", "items_a", "items_b").unique(maintain_order=True).rows()
    assert counted == [("none", 23, 23), ("detailed", 24, 24)]


def test_only_what_both_have_is_compared() -> None:
    a = side(12, projections="qk")
    b = side(
        13, model="other", projections="kv", curves=[("none", "correct"), ("article", "correct")]
    )
    found = compare_cells([(a, b)], ["nuclear_norm"])
    assert found.select("style", "projection").unique().rows() == [("none", "k")]
    with pytest.raises(DataError, match="no style, relevance and projection in common"):
        compare_cells([(a.filter(style="detailed"), b)], ["nuclear_norm"])


def test_two_data_sets_of_one_model_name_the_model() -> None:
    a, b = side(14, benchmark="gsm8k"), side(15, benchmark="aqua", first=500, items=30)
    found = compare_cells([(a, b)], ["nuclear_norm"])
    assert found.select("model", "benchmark").unique().rows() == [("one", None)]
    assert found.select("items_a", "items_b").unique().rows() == [(24, 30)]
    assert not found["paired"].any()


def test_too_few_items_and_curves_of_one_layer_decide_nothing() -> None:
    few = compare_cells(
        [(side(16, 9.0, items=7), side(17, model="other", items=7))], ["nuclear_norm"]
    )
    assert few["a"].is_not_null().all()
    assert few.select("ratio", "low", "high", "p", "p_adjusted").null_count().row(0) == (8,) * 5
    assert (few["verdict"] == "undecided").all()
    flat = compare_cells([(side(18, 9.0, depth=1), side(19, model="other"))], ["nuclear_norm"])
    assert flat.filter(quantity="mad")["a"].is_null().all()
    assert (flat.filter(quantity="mad")["verdict"] == "undecided").all()
    assert (flat.filter(quantity="mean")["verdict"] == "higher").all()


def test_p_values_allow_for_the_number_of_all_differences() -> None:
    pairs = [
        (
            side([20, number], 1.15, benchmark=f"b{number}"),
            side([21, number], 1.0, "x", f"b{number}"),
        )
        for number in range(5)
    ]
    found = compare_cells(iter(pairs), ["nuclear_norm"])
    assert found["benchmark"].n_unique() == 5
    alone = pl.concat(compare_cells([pair], ["nuclear_norm"]) for pair in pairs)
    assert found["p"].to_list() == alone["p"].to_list()
    p = found["p"].sort()
    steps = (p * pl.Series(range(len(p), 0, -1))).cum_max().clip(upper_bound=1.0)
    assert found["p_adjusted"].sort().to_list() == pytest.approx(steps.to_list())
    assert (found["p_adjusted"] >= alone["p_adjusted"]).all()


def test_files_of_extract_are_one_curve_a_projection(tmp_path: Path) -> None:
    paths = []
    for name, size in (("a", 2.0), ("b", 1.0)):
        paths.append(tmp_path / f"{name}.parquet")
        rows = side(24, size, curves=[("none", "correct")]).select(
            pl.col("item_id").str.tail(4).cast(pl.Int64).alias("example"),
            "layer",
            "projection",
            "nuclear_norm",
        )
        rows.filter(pl.col("example") != 3).write_parquet(paths[-1])
    found = compare_cells(
        [(extracted_statistics(paths[0]), extracted_statistics(paths[1]))], ["nuclear_norm"]
    )
    assert found.select("model", "benchmark", "style", "relevance").unique().row(0) == (None,) * 4
    assert found["paired"].all()
    assert (found["items_a"] == 23).all()
    assert found["verdict"].unique().to_list() == ["higher"]


def test_two_tables_are_compared_cell_by_cell() -> None:
    def table(models: Sequence[str], benchmarks: Sequence[str], size: float) -> pl.DataFrame:
        return pl.concat(
            side([30, place], size, model, benchmark, projections="q", curves=CURVES[:1])
            for place, (model, benchmark) in enumerate(
                (model, benchmark) for model in models for benchmark in benchmarks
            )
        )

    def names(a: pl.DataFrame, b: pl.DataFrame) -> list[tuple[str | None, str | None]]:
        found = compare(a, b, ["nuclear_norm"]).filter(quantity="mean")
        return found.select("model", "benchmark").rows()

    one = table(["m"], ["x", "y"], 1.0)
    assert names(one, one) == [("m", "x"), ("m", "y")]
    assert names(one, table(["n"], ["y", "x"], 1.0)) == [(None, "x"), (None, "y")]
    assert names(one, table(["n"], ["y"], 1.0)) == [(None, "y")]
    assert names(one.filter(benchmark="x"), table(["n"], ["y"], 1.0)) == [(None, None)]
    two = table(["m", "n"], ["x"], 1.0)
    assert names(two, two.with_columns(benchmark=pl.lit("z"))) == [("m", None), ("n", None)]
    assert names(table(["m", "n"], ["x", "y"], 1.0), two.filter(model="n")) == [("n", "x")]
    with pytest.raises(DataError):
        names(one, table(["n", "o"], ["z"], 1.0))


def test_tables_without_labels_are_compared_on_what_they_have() -> None:
    a, b = (
        side(seed, size).select(
            pl.col("item_id").str.tail(4).cast(pl.Int64).alias("example"),
            "layer",
            "projection",
            "nuclear_norm",
        )
        for seed, size in ((31, 2.0), (32, 1.0))
    )
    a, b = (table.unique(["example", "layer", "projection"]) for table in (a, b))
    found = compare(a, b.lazy())
    assert found["statistic"].unique().to_list() == ["nuclear_norm"]
    assert found.select("model", "benchmark", "style").unique().row(0) == (None,) * 3
    assert found["paired"].all()
    assert (found["verdict"] == "higher").all()
    with pytest.raises(StudyError, match="effective_rank"):
        compare(a, b, ["effective_rank"])
