"""MAD and RD against their formulas, written out in loops."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import (
    LARGEST_LAYERS,
    MADS,
    PAPER_SEGMENTS,
    SEGMENTS,
    mad,
    relative_difference,
    segments,
)

Build = Callable[..., pl.DataFrame]
CURVE = ["model", "benchmark", "family", "style", "relevance", "projection", "statistic"]
NAMES = ("nuclear_norm", "stable_rank")


def mad_by_hand(values: list[float]) -> float | None:
    """1/(N−1) Σ |s(i+1) − s(i)|, or None for fewer than two layers."""
    if len(values) < 2:
        return None
    return sum(abs(after - before) for before, after in pairwise(values)) / (len(values) - 1)


def by_segment(frame: pl.DataFrame) -> dict[str, float | None]:
    return dict(mad(frame).select("segment", "mad").iter_rows())


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(26, (7, 13, 6)), (28, (7, 14, 7)), (32, (10, 10, 12)), (42, (12, 18, 12))],
)
def test_the_papers_depths_are_cut_as_in_the_paper(
    depth: int, expected: tuple[int, int, int]
) -> None:
    assert segments(depth) == expected == PAPER_SEGMENTS[depth]


@pytest.mark.parametrize("depth", range(1, 101))
def test_segments_of_any_depth_make_up_the_model(depth: int) -> None:
    early, mid, last = segments(depth)
    assert early + mid + last == depth
    assert early >= 1
    assert min(mid, last) >= 0
    if depth >= 8:
        assert min(early, mid, last) >= 2, "a segment without a difference of its own"
        assert abs(early - last) <= 2


def test_mad_is_the_mean_absolute_difference_of_adjacent_layers(curve: Build) -> None:
    values = [3.0, 1.0, 1.5, 9.0]
    assert by_segment(curve(values))["all"] == pytest.approx((2 + 0.5 + 7.5) / 3)


def test_mad_of_a_segment_stays_inside_it(curve: Build) -> None:
    # Flat within each of 7/14/7 layers: only the steps between them count, and only for the whole.
    found = by_segment(curve([1.0] * 7 + [5.0] * 14 + [2.0] * 7))
    assert found == {"all": pytest.approx(7 / 27), "early": 0.0, "mid": 0.0, "last": 0.0}


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 9, 26, 28, 30, 32, 42, 61])
def test_mad_equals_the_formula_at_every_depth(curve: Build, depth: int) -> None:
    values = np.random.default_rng(depth).normal(size=depth).tolist()
    early, mid, _ = segments(depth)
    found = mad(curve(values).sample(fraction=1.0, shuffle=True, seed=1))
    assert found["segment"].to_list() == list(SEGMENTS)
    expected = [values, values[:early], values[early : early + mid], values[early + mid :]]
    for value, part in zip(found["mad"], map(mad_by_hand, expected), strict=True):
        assert value == pytest.approx(part, rel=1e-12) if part is not None else value is None


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_relative_and_log_mad_do_not_depend_on_the_size(curve: Build, factor: float) -> None:
    values = [3.0, 1.0, 2.0, 8.0]
    found = mad(curve([factor * value for value in values])).row(0, named=True)
    assert found["mad"] == pytest.approx(factor * 3)
    assert found["relative_mad"] == pytest.approx(3 / 3.5)
    assert found["log_mad"] == pytest.approx((np.log(3) + np.log(2) + np.log(4)) / 3)


def test_each_segment_is_divided_by_its_own_mean(curve: Build) -> None:
    found = mad(curve([1.0, 3.0, 10.0, 10.0, 10.0, 10.0, 4.0, 12.0])).select("segment", *MADS[:2])
    assert found.filter(segment="early").row(0)[1:] == (2.0, 1.0)
    assert found.filter(segment="last").row(0)[1:] == (8.0, 1.0)


@pytest.mark.parametrize(
    ("values", "relative", "log"),
    [([-1.0, 1.0], None, None), ([0.0, 1.0], 2.0, None), ([-2.0, -1.0], None, None)],
)
def test_a_measure_that_is_undefined_is_null(
    curve: Build, values: list[float], relative: float | None, log: float | None
) -> None:
    found = mad(curve(values)).filter(segment="all").row(0, named=True)
    assert (found["relative_mad"], found["log_mad"]) == (relative, log)
    assert found["mad"] is not None


def test_models_of_different_depth_are_cut_each_by_itself(
    curve: Build, statistics: pl.DataFrame
) -> None:
    found = curves(statistics.lazy(), NAMES)
    together = mad(found)
    apart = pl.concat([mad(found.filter(model=model)) for model in ("deep", "small")])
    assert together.equals(apart)
    depths = {28: 7, 5: 2}
    for key, rows in found.group_by(CURVE, maintain_order=True):
        values = rows.sort("layer")["mean"].to_list()
        of_curve = together.filter(
            pl.all_horizontal(pl.col(c) == v for c, v in zip(CURVE, key, strict=True))
        )
        early = values[: depths[len(values)]]
        assert of_curve.filter(segment="early")["mad"].item() == pytest.approx(mad_by_hand(early))
        assert of_curve.filter(segment="all")["mad"].item() == pytest.approx(mad_by_hand(values))


def test_a_projection_that_only_some_layers_have_is_cut_where_the_model_is(curve: Build) -> None:
    # Layers that share keys with another have no gradient of their own: k here has the upper half.
    values = [1.0, 2.0, 4.0, 8.0]
    frame = pl.concat([curve([0.0] * 8), curve(values, layers=[4, 5, 6, 7], projection="k")])
    found = dict(mad(frame).filter(projection="k").select("segment", "mad").iter_rows())
    assert segments(8) == (2, 4, 2)
    assert found == {"all": pytest.approx(7 / 3), "early": None, "mid": 1.0, "last": 4.0}


def test_layers_may_be_numbered_from_anywhere(curve: Build) -> None:
    values = np.random.default_rng(0).normal(size=28).tolist()
    assert by_segment(curve(values, layers=range(100, 128))) == by_segment(curve(values))


def test_mad_of_no_curves_is_an_empty_table(curve: Build) -> None:
    empty = mad(curve([]))
    assert empty.height == 0
    assert empty.columns == [*CURVE, "segment", *MADS, "differences"]


def test_mad_says_how_many_differences_it_averages_and_skips_gaps(curve: Build) -> None:
    values = [3.0, 1.0, 1.5, 9.0, 2.0, 2.5, 4.0, 8.0]
    whole = curve(values).with_columns(pl.lit("up").alias("projection"))
    gaps = curve(values).filter(pl.col("layer").is_in([1, 3, 7]))
    found = mad(pl.concat([whole, gaps])).filter(segment="all").sort("projection")
    assert found["projection"].to_list() == ["q", "up"]
    assert found["differences"].to_list() == [2, 7]
    assert found["mad"].to_list() == [mad_by_hand([1.0, 9.0, 8.0]), mad_by_hand(values)]
    alone = mad(pl.concat([whole, gaps])).filter(projection="q", segment="early")
    assert alone.select("mad", "differences").rows() == [(None, 0)]
    assert relative_difference(curve([])).height == 0


def pair(curve: Build, correct: list[float], irrelevant: list[float], **of: str) -> pl.DataFrame:
    return pl.concat(
        [
            curve(correct, relevance="correct", **of),
            curve(irrelevant, relevance="irrelevant", **of),
        ]
    )


def test_rd_is_the_mean_relative_difference_from_the_correct_curve(curve: Build) -> None:
    found = relative_difference(pair(curve, [1.0, 2.0, 4.0], [2.0, 1.0, 5.0]))
    assert found["rd"].item() == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert found["largest_layers"].to_list() == [[0, 1, 2]]
    assert found.columns == [*(c for c in CURVE if c != "relevance"), "rd", "largest_layers"]


def test_rd_is_not_the_same_the_other_way_round(curve: Build) -> None:
    one, other = [1.0, 2.0], [2.0, 2.0]
    assert relative_difference(pair(curve, one, other))["rd"].item() == pytest.approx(0.5)
    assert relative_difference(pair(curve, other, one))["rd"].item() == pytest.approx(0.25)


def test_rd_names_its_five_largest_layers_largest_first(curve: Build) -> None:
    differences = [0.1, 0.9, 0.3, 0.7, 0.5, 0.2, 0.9, 0.4]
    frame = pair(curve, [1.0] * 8, [1.0 + d for d in differences])
    found = relative_difference(frame.sample(fraction=1.0, shuffle=True, seed=2))
    assert LARGEST_LAYERS == 5
    # Equal differences come in the order of the layers.
    expected = sorted(range(8), key=lambda layer: (-differences[layer], layer))[:5]
    assert found["largest_layers"].to_list()[0][2:] == expected[2:]
    assert set(found["largest_layers"].to_list()[0][:2]) == set(expected[:2]) == {1, 6}


def test_ties_come_in_the_order_of_the_layers(curve: Build) -> None:
    found = relative_difference(pair(curve, [1.0] * 7, [2.0] * 7))
    assert found["largest_layers"].to_list() == [[0, 1, 2, 3, 4]]


def test_negative_curves_have_relative_differences_too(curve: Build) -> None:
    assert relative_difference(pair(curve, [-2.0, -4.0], [-1.0, 4.0]))[
        "rd"
    ].item() == pytest.approx((0.5 + 2) / 2)


def test_styles_without_both_relevances_have_no_rd(curve: Build) -> None:
    frame = pl.concat(
        [
            pair(curve, [1.0], [2.0], style="both"),
            curve([1.0], style="only right", relevance="correct"),
            curve([1.0], style="only wrong", relevance="irrelevant"),
        ]
    )
    assert relative_difference(frame)["style"].to_list() == ["both"]


def test_where_the_correct_curve_is_zero_there_is_no_rd(curve: Build) -> None:
    # Neither an infinite mean nor one over fewer layers that looks like all of them.
    for irrelevant in (0.0, 3.0):
        found = relative_difference(pair(curve, [0.0, 1.0, 2.0], [irrelevant, 2.0, 3.0]))
        assert found["rd"].to_list() == [None]
        assert found["largest_layers"].to_list() == [[1, 2]]


def test_rd_of_many_curves_equals_a_slow_twin(statistics: pl.DataFrame) -> None:
    found = curves(statistics.lazy(), NAMES)
    keys = [c for c in CURVE if c != "relevance"]
    values: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    for row in found.iter_rows(named=True):
        of = values.setdefault(tuple(row[c] for c in keys), {})
        of.setdefault(row["relevance"], {})[row["layer"]] = row["mean"]
    expected = {}
    for key, of in values.items():
        if of.keys() == {"correct", "irrelevant"}:
            relative = {n: abs(s - of["irrelevant"][n]) / abs(s) for n, s in of["correct"].items()}
            largest = sorted(relative, key=lambda layer: -relative[layer])[:5]
            expected[key] = (sum(relative.values()) / len(relative), largest)
    rows = {row[:6]: row[6:] for row in relative_difference(found).iter_rows()}
    assert rows.keys() == expected.keys()
    assert 0 < len(rows) < len(values)
    for key, (mean, largest) in expected.items():
        assert rows[key][0] == pytest.approx(mean, rel=1e-12)
        assert rows[key][1] == largest


def test_curves_of_two_models_or_styles_are_compared_too(curve: Build) -> None:
    frame = pl.concat([curve([1.0, 2.0], model="base"), curve([2.0, 1.0], model="tuned")])
    found = relative_difference(frame, column="model", reference="base", other="tuned")
    assert found["rd"].item() == pytest.approx(0.75)
    assert "model" not in found.columns
    assert found["relevance"].to_list() == ["correct"]
    with pytest.raises(DataError, match="'layer'"):
        relative_difference(frame, column="layer")
