"""Claims on different items: two independent samples, judged as such."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradpipe.claims.verdicts import judge
from tests.claims.made_up_quality import quality_table, sizes_and_lengths

CLAIM = "quality_high > quality_low on nuclear_norm"


def cell_of(verdicts: pl.DataFrame) -> dict[str, object]:
    return verdicts.filter(level="cell", projection="q").row(0, named=True)


def test_different_items_are_compared_unpaired() -> None:
    table = quality_table(*sizes_and_lengths(0, effect=0.4, items=(30, 50)))
    verdicts = judge(table, [CLAIM])
    cell = cell_of(verdicts)
    assert (cell["verdict"], cell["pairing"], cell["items"]) == ("supported", "unpaired", 30)
    means = (
        table.filter(projection="q", layer=0).group_by("style").agg(pl.col("nuclear_norm").mean())
    )
    by_style = dict(means.iter_rows())
    assert cell["effect"] == pytest.approx(by_style["quality_high"] / by_style["quality_low"])


def test_the_interval_is_about_that_of_welch() -> None:
    logs, tokens = sizes_and_lengths(1, effect=0.1, noise=0.3, items=(120, 60))
    cell = cell_of(judge(quality_table(logs, tokens), [CLAIM]))
    sides = [np.exp(logs[style]) for style in ("quality_high", "quality_low")]
    errors = [stats.sem(side) / side.mean() for side in sides]
    width = np.log(cell["high"]) - np.log(cell["low"])  # type: ignore[call-overload]
    assert width == pytest.approx(2 * 2.0 * np.hypot(*errors), rel=0.15)


def test_a_side_with_too_few_items_leaves_the_claim_undecided() -> None:
    table = quality_table(*sizes_and_lengths(2, effect=2.0, items=(7, 60)))
    cell = cell_of(judge(table, [CLAIM]))
    assert (cell["verdict"], cell["items"]) == ("undecided", 7)
    assert cell["reason"] == "7 items, at least 8 are required"


def test_items_with_both_responses_stay_paired() -> None:
    """A user's own data may have a better and a worse response to one question."""
    logs, tokens = sizes_and_lengths(3, effect=0.05, noise=0.01)
    table = quality_table(logs, tokens).with_columns(pl.col("item_id").str.slice(-4))
    cell = cell_of(judge(table, [CLAIM]))
    assert (cell["pairing"], cell["items"], cell["verdict"]) == ("item", 40, "supported")


def test_styles_of_the_same_items_are_not_compared_across_items() -> None:
    logs, tokens = sizes_and_lengths(4, effect=2.0)
    names = {"quality_low": "none", "quality_high": "detailed"}
    table = quality_table(logs, tokens).with_columns(pl.col("style").replace(names))
    cell = cell_of(judge(table, ["detailed > none on nuclear_norm"]))
    assert (cell["verdict"], cell["items"]) == ("undecided", 0)


def test_equal_samples_are_rarely_decided() -> None:
    decided = [
        cell_of(
            judge(
                quality_table(*sizes_and_lengths(seed, items=(12, 24), noise=0.5)),
                [CLAIM],
                resamples=150,
            )
        )["verdict"]
        for seed in range(40)
    ]
    assert 40 - decided.count("undecided") <= 6  # 5 % of 40 is 2; more than 6 has a chance of 0.4 %
