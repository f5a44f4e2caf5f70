"""Spans are compared within items; the interval is that of a paired t-test of log ratios."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradpipe.statistics.spans.contrasts import (
    SPAN_CONTRAST_SCHEMA,
    item_values,
    span_contrasts,
    student_quantiles,
)
from gradpipe.statistics.spans.curves import span_matrices

Matrices = Callable[[dict[tuple[str, str, str], np.ndarray], dict[str, int]], pl.DataFrame]
LAYERS = 3


@pytest.fixture
def matrices_of() -> Matrices:
    """A table of matrices from a value per (style, relevance, span) and item."""

    def make(sides: dict[tuple[str, str, str], np.ndarray], tokens: dict[str, int]) -> pl.DataFrame:
        rows = [
            {
                "model": "m",
                "benchmark": "b",
                "style": style,
                "relevance": relevance,
                "item_id": f"i{item}",
                "span": span,
                "layer": layer,
                "projection": projection,
                "response_tokens": tokens.get(span, 4) + item,
                "loss": 1.0 + item,
                # Its mean over layers is the item's value, four times as large in v.
                "nuclear_norm": value * (1 + (layer - 1) / 2) * (1 if projection == "q" else 4),
            }
            for (style, relevance, span), values in sides.items()
            for item, value in enumerate(values)
            for layer in range(LAYERS)
            for projection in ("q", "v")
        ]
        return pl.DataFrame(rows)

    return make


def test_a_contrast_is_the_paired_t_test_of_log_ratios(matrices_of: Matrices) -> None:
    generator = np.random.default_rng(1)
    none, detailed = generator.lognormal(0, 0.5, (2, 12))
    found = span_contrasts(
        matrices_of(
            {
                ("none", "correct", "final_answer"): none,
                ("detailed", "correct", "final_answer"): detailed,
            },
            {},
        )
    )
    assert found.schema == SPAN_CONTRAST_SCHEMA
    for projection in ("q", "v", "all"):
        row = found.row(
            by_predicate=(pl.col("projection") == projection) & (pl.col("chain") == "all"),
            named=True,
        )
        assert (row["style"], row["against_style"]) == ("none", "detailed")
        test = stats.ttest_1samp(np.log(none / detailed), 0)
        low, high = test.confidence_interval()
        assert row["ratio"] == pytest.approx(stats.gmean(none / detailed), rel=1e-12)
        assert (row["low"], row["high"]) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-9)
        assert row["items"] == 12
    losses = found.filter(pl.col("statistic") == "loss")
    assert losses["projection"].to_list() == [None]
    assert losses["ratio"].to_list() == [1.0]


def test_an_answer_is_compared_with_the_rest_and_with_as_many_tokens(
    matrices_of: Matrices,
) -> None:
    ones = np.ones(4)
    sides = {
        ("detailed", "correct", "final_answer"): ones * 6,
        ("detailed", "correct", "rest"): ones * 2,
        ("detailed", "correct", "first_k"): ones * 3,
        ("detailed", "wrong", "final_answer"): ones * 12,
        ("detailed", "wrong", "rest"): ones,
    }
    found = span_contrasts(matrices_of(sides, {"rest": 40})).filter(projection="q")
    columns = found.select("relevance", "against_span", "ratio", "high")
    ratios = {row[:2]: row[2:] for row in columns.rows()}
    assert ratios.keys() == {
        ("correct", "first_k"),
        ("correct", "rest"),
        ("wrong", "final_answer"),
    }
    assert ratios["correct", "first_k"] == pytest.approx((2.0, 2.0))
    assert ratios["correct", "rest"] == pytest.approx((3.0, 3.0))
    assert ratios["wrong", "final_answer"] == pytest.approx((2.0, 2.0))
    rest = found.filter(against_span="rest")
    assert (rest["tokens"].item(), rest["against_tokens"].item()) == (5.5, 41.5)


def test_long_and_short_chains_of_thought_are_apart(matrices_of: Matrices) -> None:
    # Item n has a chain of 40 + n tokens, and an answer 2 ** n times as small behind it.
    sides = {
        ("answer_only", "correct", "answer"): np.ones(9),
        ("thinking", "correct", "answer"): 0.5 ** np.arange(9),
        ("thinking", "correct", "think"): np.ones(9),
    }
    found = span_contrasts(matrices_of(sides, {"think": 40})).filter(
        projection="q", style="answer_only"
    )
    ratios = dict(found.select("chain", "ratio").rows())
    assert ratios == pytest.approx({"all": 16.0, "shortest third": 2.0, "longest third": 128.0})
    assert found["items"].sort().to_list() == [3, 3, 9]


def test_items_of_one_side_only_do_not_count(matrices_of: Matrices) -> None:
    sides = {
        ("none", "correct", "final_answer"): np.array([2.0, 5.0, 7.0]),
        ("detailed", "correct", "final_answer"): np.array([1.0]),
    }
    found = span_contrasts(matrices_of(sides, {})).filter(projection="q", chain="all")
    assert found.select("ratio", "low", "high", "items").rows() == [(2.0, None, None, 1)]


def test_a_layer_without_a_value_leaves_the_example_out(matrices_of: Matrices) -> None:
    table = matrices_of({("none", "correct", "final_answer"): np.ones(2)}, {})
    broken = (pl.col("item_id") == "i0") & (pl.col("layer") == 1) & (pl.col("projection") == "q")
    values = item_values(
        table.with_columns(pl.when(~broken).then("nuclear_norm").alias("nuclear_norm"))
    )
    own = values.filter(pl.col("projection") == "q", pl.col("statistic") == "nuclear_norm")
    assert own.sort("item_id")["value"].to_list() == [None, 1.0]
    assert span_contrasts(table).is_empty()


def test_quantiles_are_those_of_scipy() -> None:
    found = student_quantiles(pl.Series([0, 1, 7])).to_list()
    assert found[0] is None
    assert found[1:] == pytest.approx(stats.t.ppf(0.975, [1, 7]).tolist())


def test_own_loss_multiplies_a_share_by_the_tokens_of_the_response_over_those_of_the_span() -> None:
    span = {
        "name": "final_answer", "tokens": 2, "loss": 1.5,
        "matrices": [{"layer": 0, "projection": "q", "frobenius_norm": 5.0,
                      "singular_values": [3.0, 4.0]}],
    }  # fmt: skip
    rows = pl.DataFrame(
        {"key": ["a"], "reason": [None], "response_tokens": [10], "loss": [0.7], "spans": [[span]]},
        schema_overrides={"reason": pl.String},
    ).with_columns(matrices=pl.lit(None), layers=pl.lit(None))
    labels = {"item_id": "a", "index": 0, "family": "math", "model": "m", "benchmark": "b"}
    examples = pl.DataFrame({"key": ["a"], **labels, "style": "none", "relevance": "correct"})
    names = ["nuclear_norm", "frobenius_norm", "effective_rank", "nuclear_norm_summed_loss"]
    share, own = (
        span_matrices(examples, rows.lazy(), names, own_loss=own_loss).row(0, named=True)
        for own_loss in (False, True)
    )
    assert (share["nuclear_norm"], own["nuclear_norm"]) == (7.0, 35.0)
    assert own["frobenius_norm"] == 25.0
    assert own["effective_rank"] == pytest.approx(share["effective_rank"])
    # The summed loss of the span's own tokens has the gradient N times the share's.
    assert own["nuclear_norm_summed_loss"] == 70.0
