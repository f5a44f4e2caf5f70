"""Styles compared with their length held still, on results of which the truth is known."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import gmean

from gradpipe.claims.length.effects import length_effects
from gradpipe.claims.schemas import LENGTH_SCHEMA
from gradpipe.claims.values import Array
from tests.claims.conftest import make_cell, make_table

WAVE = 5 + 3 * np.sin(2.1 * np.arange(10))
#: How long responses are, from and to, in tokens.
LENGTHS = {
    "none": (2, 12),
    "simplified": (8, 90),
    "detailed": (60, 250),
    "none_padded": (30, 32),
    "detailed_cut": (30, 32),
}
#: Styles of which either may be the longer one in an item.
OVERLAPPING = LENGTHS | {"none": (10, 120), "detailed": (20, 400)}


def results(
    seed: int,
    slope: float = 0.0,
    sizes: Mapping[str, float] | None = None,
    styles: Sequence[str] = ("none", "simplified", "detailed"),
    items: int = 24,
    lengths: Mapping[str, tuple[int, int]] = LENGTHS,
    spread: float = 0.3,
) -> pl.DataFrame:
    """Nuclear norms that go with size × tokens ** slope, each item's own factor aside."""
    sizes = sizes or {}
    curves = {
        (style, relevance): sizes.get(style, 1.0) * WAVE
        for style in styles
        for relevance in ("correct", "irrelevant")
    }
    cell = make_cell([seed, 3], items, curves, 0.1, spread, model="m", benchmark="b")
    draw = np.random.default_rng([seed, 4])
    ends = np.log([lengths[style] for style, _ in cell.curves])
    tokens = np.exp(draw.uniform(ends[:, 0], ends[:, 1], (items, len(ends)))).round()
    scaled = replace(cell, values=cell.values * (tokens**slope)[:, :, None, None])
    return make_table(scaled).join(tokens_of(cell.items, cell.curves, tokens), on=EXAMPLE)


EXAMPLE = ["item_id", "style", "relevance"]


def tokens_of(
    items: Sequence[str], curves: Sequence[tuple[str, str]], tokens: Array
) -> pl.DataFrame:
    rows = [
        (item, *curve, int(tokens[row, column]))
        for row, item in enumerate(items)
        for column, curve in enumerate(curves)
    ]
    return pl.DataFrame(rows, [*EXAMPLE, "response_tokens"], orient="row")


def between(
    effects: pl.DataFrame, style: str, against: str, control: str, quantity: str = "mean"
) -> dict[str, object]:
    """The row of one comparison on the projection q."""
    return effects.filter(
        style=style, against=against, control=control, quantity=quantity, projection="q"
    ).row(0, named=True)


def test_every_two_styles_stand_beside_their_controls() -> None:
    effects = length_effects(results(0, lengths=dict.fromkeys(LENGTHS, (10, 90))))
    assert effects.schema == LENGTH_SCHEMA
    assert effects.select("style", "against").unique(maintain_order=True).rows() == [
        ("none", "simplified"),
        ("none", "detailed"),
        ("simplified", "detailed"),
    ]
    counted = effects.group_by("control", maintain_order=True).len().rows()
    assert counted == [("none", 12), ("summed_loss", 12), ("regression", 12)]
    assert effects.drop("answer_share").null_count().sum_horizontal().item() == 0
    assert effects["answer_share"].is_null().all()
    assert (effects["items"] == 24).all()


def test_what_is_measured_is_the_ratio_of_the_curves() -> None:
    table = results(1, slope=-0.5, sizes={"none": 3.0}).filter(relevance="correct", projection="q")
    curves = table.group_by("style", "layer").agg(
        pl.col("nuclear_norm").mean(),
        (pl.col("nuclear_norm") * pl.col("response_tokens")).mean().alias("summed"),
    )
    effects = length_effects(table)
    for control, column in (("none", "nuclear_norm"), ("summed_loss", "summed")):
        one, other = (
            curves.filter(style=style).sort("layer")[column] for style in ("none", "detailed")
        )
        measured = between(effects, "none", "detailed", control)["effect"]
        assert measured == pytest.approx(gmean(one) / gmean(other))
        unevenness = between(effects, "none", "detailed", control, "mad")["effect"]
        plain = one.diff().abs().mean() / other.diff().abs().mean()
        assert unevenness == pytest.approx(plain, rel=0.02)


def test_a_slope_of_minus_one_is_no_effect_on_the_summed_loss() -> None:
    effects = length_effects(results(2, slope=-1.0, spread=0.0))
    summed = effects.filter(control="summed_loss")["effect"]
    assert summed.to_list() == pytest.approx([1.0] * 12, abs=0.05)


def coverage(slope: float, size: float) -> dict[str, float]:
    """How often each control's interval of none against detailed holds the ratio of their sizes."""
    sizes = {"none": size, "none_padded": size}
    styles = ("none", "detailed", "none_padded", "detailed_cut")
    effects = pl.concat(
        length_effects(
            results(seed, slope, sizes, styles, 40, OVERLAPPING).filter(projection="q"), seed
        )
        for seed in range(60)
    )
    holds = (pl.col("low") <= size) & (pl.col("high") >= size)
    return dict(effects.group_by("control").agg(holds.mean()).iter_rows())


def test_what_length_does_disappears_when_it_is_held_still() -> None:
    share = coverage(-0.9, 1.0)
    assert share["none"] < 0.2
    assert min(share["matched"], share["regression"]) > 0.88


@pytest.mark.slow
def test_what_a_style_does_stays_when_length_is_held_still() -> None:
    share = coverage(0.0, 2.0)
    assert share["summed_loss"] < 0.1
    assert min(share["none"], share["matched"], share["regression"]) > 0.88


def test_a_style_and_its_length_are_told_apart() -> None:
    effects = length_effects(
        results(5, -0.6, {"none": 3.0}, items=200, lengths=OVERLAPPING, spread=0.1)
    )
    for quantity in ("mean", "mad"):
        row = between(effects, "none", "detailed", "regression", quantity)
        assert row["effect"] == pytest.approx(3.0, rel=0.2)
    assert between(effects, "none", "detailed", "none")["effect"] > 4


def test_the_regression_is_one_with_a_factor_for_each_item() -> None:
    """Against ordinary least squares with all its columns written out."""
    table = results(6, -0.4, {"none": 2.0}, ("none", "detailed"), 15, OVERLAPPING)
    of_example = (
        table.filter(relevance="correct", projection="v")
        .group_by("item_id", "style", "response_tokens")
        .agg(pl.col("nuclear_norm").mean().log().alias("y"))
    )
    design = np.column_stack(
        [
            of_example["style"] == "none",
            of_example["response_tokens"].log(),
            of_example["item_id"].to_dummies(),
        ]
    ).astype(float)
    (beta, slope, *_), *_ = np.linalg.lstsq(design, of_example["y"].to_numpy())
    row = length_effects(table).row(
        by_predicate=(pl.col("control") == "regression")
        & (pl.col("quantity") == "mean")
        & (pl.col("projection") == "v"),
        named=True,
    )
    assert row["effect"] == pytest.approx(np.exp(beta), rel=0.05)
    assert f"slope {slope:.2f};" in row["how"]


def test_how_says_the_lengths_and_how_far_they_overlap() -> None:
    effects = length_effects(results(7, styles=("none", "simplified", "detailed", "none_padded")))
    apart = between(effects, "none", "detailed", "regression")
    assert apart["effect"] is None
    assert apart["how"] == "lengths do not overlap: detailed is longer in every item"
    assert "as measured: none (" in str(between(effects, "none", "detailed", "none")["how"])
    matched = effects.filter(control="matched")
    assert matched.select("style", "against").unique().rows() == [("none", "simplified")]
    assert matched["how"][0].startswith("of equal length: none_padded (31 tokens) / simplified (")

    overlap = length_effects(results(7, styles=("none", "detailed"), lengths=OVERLAPPING))
    how = str(between(overlap, "none", "detailed", "regression")["how"])
    assert re.search(r"; none is longer in \d+ of 24 items, detailed in \d+$", how)


def test_no_regression_is_extrapolated_to_lengths_that_no_item_has() -> None:
    """Three items with the shorter style longer are too few, four are enough."""
    table = results(15, styles=("none", "detailed"))
    items = table["item_id"].unique().sort()
    for longer, known in ((3, False), (4, True)):
        changed = table.with_columns(
            pl.when(pl.col("item_id").is_in(items[:longer].implode()) & (pl.col("style") == "none"))
            .then(400)
            .otherwise("response_tokens")
            .alias("response_tokens")
        )
        row = between(length_effects(changed), "none", "detailed", "regression")
        assert (row["effect"] is not None) == known
        assert ("do not overlap" in str(row["how"])) != known


def test_a_padded_answer_says_which_share_of_the_loss_is_the_answers() -> None:
    table = results(16, styles=("none", "simplified", "none_padded"))
    tokens = (
        table.filter(relevance="correct")
        .select("item_id", "style", "response_tokens")
        .unique()
        .pivot("style", index="item_id", values="response_tokens")
    )
    shares = tokens["none"] / tokens["none_padded"]
    row = between(length_effects(table), "none", "simplified", "matched")
    assert row["answer_share"] == pytest.approx(shares.mean())
    low, high, mean = (f"{100 * v:.0f}" for v in (shares.min(), shares.max(), shares.mean()))
    assert f"the answer is {low} to {high} % of the loss tokens, on average {mean} %" in str(
        row["how"]
    )


def test_longer_and_shorter_knowledge_is_compared_too() -> None:
    lengths = {"length_100": (90, 110), "length_500": (450, 550), "article": (80, 1000)}
    effects = length_effects(results(8, styles=tuple(lengths), lengths=lengths))
    assert effects.select("style", "against").unique(maintain_order=True).rows() == [
        ("length_100", "length_500"),
        ("length_100", "article"),
        ("length_500", "article"),
    ]


def test_an_effect_that_is_not_to_be_had_is_null_and_how_says_why() -> None:
    few = length_effects(results(9, items=7))
    assert few["effect"].is_null().all()
    assert (few["items"] == 7).all()
    assert few["how"].str.starts_with("too few items: 7 with").all()

    single = length_effects(results(11).filter(layer=0))
    assert single.filter(quantity="mad")["effect"].is_null().all()
    assert single.filter(quantity="mean", control="none")["effect"].is_not_null().all()
    measured = single.filter(quantity="mad", control="none")
    assert measured["how"].str.contains("one layer").all()


def test_styles_of_equal_length_need_no_regression() -> None:
    one = {"none": (4, 4), "simplified": (40, 40), "detailed": (40, 40)}
    same = length_effects(results(10, lengths=one))
    equal = between(same, "simplified", "detailed", "regression")
    assert equal["how"] == "both responses of every item have the same length"
    logs = (
        results(10, lengths=one)
        .filter(relevance="correct", projection="q")
        .group_by("item_id", "style")
        .agg(pl.col("nuclear_norm").mean().log())
        .pivot("style", index="item_id", values="nuclear_norm")
    )
    mean = (logs["simplified"] - logs["detailed"]).mean()
    assert np.log(equal["effect"]) == pytest.approx(mean, abs=0.01)
    assert between(same, "none", "detailed", "regression")["effect"] is None


def test_responses_without_tokens_and_unusable_ones_are_left_out() -> None:
    table = results(12)
    unusable = (pl.col("item_id") == "item0003") & (pl.col("style") == "none")
    empty = (pl.col("item_id") == "item0004") & (pl.col("style") == "detailed")
    changed = table.with_columns(
        pl.when(unusable & (pl.col("layer") == 2))
        .then(float("nan"))
        .otherwise("nuclear_norm")
        .alias("nuclear_norm"),
        pl.when(empty).then(0).otherwise("response_tokens").alias("response_tokens"),
    )
    effects = length_effects(changed)
    counted = effects.select("style", "against", "items").unique(maintain_order=True).rows()
    assert counted == [
        ("none", "simplified", 23),
        ("none", "detailed", 22),
        ("simplified", "detailed", 23),
    ]
    assert effects.filter(pl.col("control") != "regression")["effect"].is_finite().all()


def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_the_rows() -> None:
    table = results(13)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(length_effects(table, 1), length_effects(shuffled.lazy(), 1))
    assert not length_effects(table, 1).equals(length_effects(table, 2))


def test_results_without_correct_responses_have_no_effects() -> None:
    assert length_effects(results(14).filter(relevance="irrelevant")).is_empty()
    assert length_effects(results(14).clear()).schema == LENGTH_SCHEMA


def test_a_study_without_the_nuclear_norm_has_no_length_effects() -> None:
    table = results(0).drop("nuclear_norm")
    assert_frame_equal(length_effects(table), LENGTH_SCHEMA.to_frame())


def test_own_styles_are_compared_in_the_studys_order_and_at_equal_length() -> None:
    styles = {"a": (40, 90), "b": (60, 120), "a_cut": (40, 40), "b_cut": (40, 40)}
    table = results(
        15,
        slope=-0.5,
        sizes={"a": 2.0, "a_cut": 2.0},
        styles=tuple(styles),
        lengths=styles,
        spread=0.05,
    )
    effects = length_effects(table, order=["b", "a"])
    assert set(effects.select("style", "against").rows()) == {("b", "a")}
    assert between(effects, "b", "a", "matched")["effect"] == pytest.approx(0.5, rel=0.1)
    by_name = length_effects(table)
    raw, reverse = between(effects, "b", "a", "none"), between(by_name, "a", "b", "none")
    assert reverse["effect"] == pytest.approx(1 / float(str(raw["effect"])))
