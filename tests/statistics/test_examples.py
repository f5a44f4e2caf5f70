"""Each example's own statistics, and the examples at both ends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.report.report_data import EXAMPLE_SCORE_SCHEMA, EXTREME_SCHEMA
from gradpipe.statistics.examples import (
    EXCERPT_CHARACTERS,
    EXCERPT_VALUES,
    example_scores,
    extremes,
)
from gradpipe.statistics.partition import partition_tables
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.statistics.table import EXAMPLE_COLUMNS

SCHEMA = pl.Schema({"key": pl.String} | {n: t for n, t in ROW_SCHEMA.items() if n != "row"})


def spectra(sizes: dict[str, float], unusable: str = "") -> pl.DataFrame:
    """A row a key whose gradients have norms of that size, largest in layer 1; 0: no gradient."""
    draw = np.random.default_rng(4)
    rows = [
        {
            "key": key,
            "loss": size / 2,
            "tokens": 9,
            "response_tokens": 4,
            "truncated": False,
            "reason": "too long" if key in unusable else None,
            "seconds": 0.1,
            "matrices": []
            if key in unusable
            else [
                {
                    "layer": layer,
                    "projection": projection,
                    "frobenius_norm": 1.0,
                    "singular_values": size
                    * (1 + (layer == 1))
                    * np.sort(draw.uniform(0.9, 1.0, 100))[::-1],
                }
                for layer in range(3)
                for projection in ("k", "o", "q", "v")
            ],
            "layers": [],
        }
        for key, size in sizes.items()
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def reduce(asked: pl.DataFrame, rows: pl.DataFrame, *names: str) -> pl.DataFrame:
    return partition_tables(asked, [rows], names, "m").statistics


def index(keys: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "key": list(keys),
            "item_id": [f"item{number}" for number in range(len(keys))],
            "benchmark": "b",
            "family": "math",
            "index": range(len(keys)),
            "style": "none",
            "relevance": "correct",
            "instruction": [f"What is {key}?" for key in keys],
            "response": [f"It is {key}." for key in keys],
            "loss": 0.0,
            "tokens": 0,
        }
    )


def ends(
    sizes: dict[str, float], keys: Sequence[str] = (), most: int = 3, unusable: str = ""
) -> pl.DataFrame:
    asked, rows = index(keys or list(sizes)), spectra(sizes, unusable)
    scores = example_scores(reduce(asked, rows, "nuclear_norm").lazy())
    wanted: list[pl.Series] = []

    def rows_of(keys: pl.Series) -> pl.LazyFrame:
        wanted.append(keys)
        return rows.lazy().filter(pl.col("key").is_in(keys.implode()))

    found = extremes(scores, asked, rows_of, most)
    assert [len(keys) for keys in wanted] == [found.height]
    return found


def test_a_score_is_the_mean_over_layers_and_projections() -> None:
    sizes = {"a": 1.0, "b": 3.0, "c": 2.0}
    table = reduce(index("abca"), spectra(sizes, "c"), *REDUCTIONS)
    found = example_scores(table.lazy())
    assert found.schema == EXAMPLE_SCORE_SCHEMA
    assert found["item_id"].to_list() == ["item0", "item1", "item3"]
    for record in found.to_dicts():
        own = table.filter(item_id=record["item_id"])
        assert own.height == 12
        for name in ("nuclear_norm", "effective_rank", "sigma1_ratio"):
            assert record[name] == pytest.approx(np.mean(own[name].to_list()), rel=1e-12)
        for name in ("tokens", "response_tokens", "loss", "index", "style"):
            assert record[name] == own[name][0]
    both = pl.concat([table, table.with_columns(model=pl.lit("n"))])
    assert example_scores(both.lazy()).height == 6


def test_statistics_that_a_study_left_out_are_null() -> None:
    table = reduce(index("a"), spectra({"a": 1.0}), "nuclear_norm")
    (record,) = example_scores(table.lazy()).to_dicts()
    assert record["nuclear_norm"] is not None
    assert (record["effective_rank"], record["sigma1_ratio"]) == (None, None)
    assert example_scores(table.clear().lazy()).schema == EXAMPLE_SCORE_SCHEMA
    without = reduce(index("a"), spectra({"a": 1.0}), "stable_rank")
    scores = example_scores(without.lazy())
    none = extremes(scores, index("a"), lambda _: spectra({}).lazy())
    assert none.schema == EXTREME_SCHEMA
    assert none.height == 0


def test_a_gradient_of_zero_has_a_norm_but_no_rank() -> None:
    table = reduce(index("a"), spectra({"a": 0.0}), *REDUCTIONS)
    (record,) = example_scores(table.lazy()).to_dicts()
    assert record["nuclear_norm"] == 0.0
    assert (record["effective_rank"], record["sigma1_ratio"]) == (None, None)


def test_the_largest_and_the_smallest_are_found_the_utmost_first() -> None:
    sizes = dict(zip("abcdefghi", [5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0], strict=True))
    found = ends(sizes, most=3, unusable="c")
    assert found.schema == EXTREME_SCHEMA
    assert found.select("end", "place", "instruction").rows() == [
        ("largest", 1, "What is g?"),
        ("largest", 2, "What is e?"),
        ("largest", 3, "What is i?"),
        ("smallest", 1, "What is b?"),
        ("smallest", 2, "What is f?"),
        ("smallest", 3, "What is d?"),
    ]
    assert found["loss"].to_list() == [4.0, 3.5, 3.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("count", "largest", "smallest"), [(1, 1, 0), (2, 1, 1), (4, 2, 2), (5, 3, 2)]
)
def test_few_examples_are_shared_out_between_the_ends(
    count: int, largest: int, smallest: int
) -> None:
    found = ends({f"key{number}": 1.0 + number for number in range(count)})
    of_end = [found.filter(end=end).height for end in ("largest", "smallest")]
    assert of_end == [largest, smallest]
    assert found["item_id"].n_unique() == count


def test_equal_norms_stand_in_the_order_of_the_items_and_none_twice() -> None:
    found = ends(dict.fromkeys("abcdefgh", 2.0), most=2)
    assert found["item_id"].n_unique() == 4
    assert found.equals(ends(dict.fromkeys("abcdefgh", 2.0), most=2))


def test_a_text_that_several_examples_share_is_shown_once() -> None:
    found = ends({"a": 3.0, "b": 2.0}, keys="aaab", most=2)
    assert found.select("end", "item_id").rows() == [("largest", "item0"), ("smallest", "item3")]


def test_each_projection_is_shown_at_its_largest_layer() -> None:
    found = ends({"a": 3.0, "b": 2.0}, most=1)
    rows = spectra({"a": 3.0, "b": 2.0})
    for key, shown in zip("ab", found["spectra"].to_list(), strict=True):
        assert [entry["projection"] for entry in shown] == list("qkvo")
        matrices: list[dict[str, Any]] = rows.filter(key=key)["matrices"].to_list()[0]
        for entry in shown:
            assert entry["layer"] == 1
            (own,) = (
                matrix["singular_values"]
                for matrix in matrices
                if (matrix["layer"], matrix["projection"]) == (1, entry["projection"])
            )
            assert entry["singular_values"] == own[:EXCERPT_VALUES]


def test_long_texts_are_cut_and_the_cut_is_marked() -> None:
    asked = index("ab").with_columns(
        instruction=pl.Series(["ü" * 5000, "x" * EXCERPT_CHARACTERS]),
        response=pl.Series(["<b>" + "word " * 900, ""]),
    )
    rows = spectra({"a": 2.0, "b": 1.0})
    scores = example_scores(reduce(asked, rows, "nuclear_norm").lazy())
    found = extremes(scores, asked, lambda _: rows.lazy())
    long, short = found["instruction"].to_list()
    assert long == "ü" * (EXCERPT_CHARACTERS - 1) + "…"
    assert short == "x" * EXCERPT_CHARACTERS
    response, empty = found["response"].to_list()
    assert len(response) <= EXCERPT_CHARACTERS
    assert response.startswith("<b>word")
    assert response.endswith("…")
    assert empty == ""


def test_two_examples_of_one_item_keep_their_own_texts() -> None:
    asked = index("ab").with_columns(
        item_id=pl.lit("item0"), index=pl.lit(0), style=pl.Series(["none", "detailed"])
    )
    rows = spectra({"a": 2.0, "b": 1.0})
    scores = example_scores(reduce(asked, rows, "nuclear_norm").lazy())
    found = extremes(scores, asked, lambda _: rows.lazy())
    assert found.select("style", "response").rows() == [
        ("none", "It is a."),
        ("detailed", "It is b."),
    ]
    assert_frame_equal(
        scores.select(EXAMPLE_COLUMNS), asked.select(EXAMPLE_COLUMNS), check_row_order=False
    )
