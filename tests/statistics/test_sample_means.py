"""Statistics count the samples of an item once."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.report.cell_results import EXAMPLE_LABELS
from gradpipe.statistics.curves import curves
from gradpipe.statistics.decomposition import token_decomposition
from gradpipe.statistics.detection.added import added_discrimination
from gradpipe.statistics.detection.discrimination import discrimination
from gradpipe.statistics.differences import of_common_items
from gradpipe.statistics.reductions import TOKEN_STATISTICS
from gradpipe.statistics.sample_means import first_samples, mean_of_samples
from gradpipe.statistics.spans.contrasts import span_contrasts
from gradpipe.statistics.spans.steps import step_trends

ITEMS = [f"{place:020x}" for place in range(20)]
NUMBERS = ("nuclear_norm", *TOKEN_STATISTICS)


@pytest.fixture
def table() -> pl.DataFrame:
    """Made-up statistics of twenty items in two styles, with irrelevant responses."""
    draw = np.random.default_rng(5)
    labels = {"model": "m", "benchmark": "b", "family": "math"}
    rows = [
        labels
        | {"item_id": item, "index": place, "style": style, "relevance": relevance}
        | {"projection": "q", "layer": layer, "donor_item_id": None}
        | {"loss": draw.lognormal(), "response_tokens": int(draw.integers(5, 99))}
        | {name: draw.lognormal() for name in NUMBERS}
        for place, item in enumerate(ITEMS)
        for style in ("simplified", "detailed")
        for relevance in ("correct", "irrelevant")
        for layer in range(3)
    ]
    frame = pl.DataFrame(rows, schema_overrides={"donor_item_id": pl.String})
    # One loss and length per example.
    per_example = pl.col("loss", "response_tokens").first().over(*EXAMPLE_LABELS)
    return frame.with_columns(per_example)


def copied(table: pl.DataFrame, copies: int = 4) -> pl.DataFrame:
    further = [table.with_columns(pl.col("item_id") + f"#{n}") for n in range(2, copies + 1)]
    return pl.concat([table, *further])


Measure = Callable[[pl.DataFrame], pl.DataFrame]
MEASURES: list[Measure] = [
    lambda table: curves(table, ["nuclear_norm"]),
    token_decomposition,
    lambda table: discrimination(table, ["nuclear_norm"]),
    lambda table: added_discrimination(table, ["nuclear_norm"]),
]


@pytest.mark.parametrize("measure", MEASURES)
def test_copies_of_responses_change_no_mean_and_no_interval(
    table: pl.DataFrame, measure: Measure
) -> None:
    once = measure(table)
    assert once.height
    assert_frame_equal(once, measure(copied(table)))


def test_spans_of_samples_are_means_and_their_steps_one_cluster() -> None:
    draw = np.random.default_rng(2)
    matrices = pl.DataFrame(
        {
            "model": "m",
            "benchmark": "b",
            "item_id": item,
            "style": style,
            "relevance": "correct",
            "span": span,
            "projection": "q",
            "layer": layer,
            "response_tokens": int(draw.integers(3, 30)),
            "loss": draw.lognormal(),
            "nuclear_norm": draw.lognormal(),
            "effective_rank": draw.lognormal(),
        }
        for item in ITEMS
        for style in ("simplified", "detailed")
        for span in ("step_1", "step_2", "step_3", "step_4", "final_answer")
        for layer in range(2)
    )
    for measure in (span_contrasts, step_trends):
        once, several = measure(matrices), measure(copied(matrices))
        assert once["low"].is_not_null().any()
        assert_frame_equal(once, several)


def test_an_item_has_both_kinds_of_responses_if_its_samples_have() -> None:
    rows = [(ITEMS[0], "correct"), (f"{ITEMS[0]}#2", "irrelevant"), (ITEMS[1], "correct")]
    table = pl.DataFrame(rows, schema=["item_id", "relevance"], orient="row").with_columns(
        model=pl.lit("m"), benchmark=pl.lit("b"), style=pl.lit("detailed")
    )
    assert of_common_items(table.lazy()).collect()["item_id"].to_list() == [
        ITEMS[0],
        f"{ITEMS[0]}#2",
    ]


def test_rows_without_samples_are_returned_as_they_are(table: pl.DataFrame) -> None:
    assert mean_of_samples(table, ["item_id"], ["loss"]) is table
    assert first_samples(table.lazy(), ["style"]).collect().equals(table)


def test_the_first_sample_of_each_kind_counts() -> None:
    ids = [f"{ITEMS[0]}#2", f"{ITEMS[0]}#3", ITEMS[0], f"{ITEMS[0]}#2"]
    kinds = ["correct", "correct", "irrelevant", "irrelevant"]
    donors = [None, None, ITEMS[1], f"{ITEMS[1]}#2"]
    table = pl.DataFrame({"item_id": ids, "relevance": kinds, "donor_item_id": donors})
    first = first_samples(table.lazy(), ["relevance"]).collect()
    assert first.rows() == [(ITEMS[0], "correct", None), (ITEMS[0], "irrelevant", ITEMS[1])]
