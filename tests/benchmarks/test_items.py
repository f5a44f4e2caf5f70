"""Items keep their identity when their benchmark changes around them; samples are nested."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.benchmarks.items import ITEM_SCHEMA, SamplingMethod, build_items, sample_items
from gradpipe.errors import DataError

NONE = {("none", "correct"): "text"}
ITEMS = pl.DataFrame({"item_id": [f"i{n}" for n in range(50)], "index": list(range(50))})


def items_of(*rows: tuple[str, str | None, str | None], benchmark: str = "b") -> pl.DataFrame:
    table = pl.DataFrame(
        rows,
        schema={"instruction": pl.String, "answer": pl.String, "text": pl.String},
        orient="row",
    )
    return build_items(table.with_columns(rationale=pl.lit("r")), benchmark, None, NONE)


def test_items_follow_the_schema() -> None:
    assert items_of(("q", None, None)).schema == ITEM_SCHEMA
    assert items_of(("q", None, None))["responses"].to_list() == [[]]


def test_duplicates_stay_separate() -> None:
    assert items_of(("q", "a", "x"), ("q", "a", "x"))["item_id"].n_unique() == 2


def test_appending_rows_changes_no_earlier_id() -> None:
    before = items_of(("q", "a", "x"), ("q", None, "x"))
    after = items_of(("q", "a", "x"), ("q", None, "x"), ("q", "a", "x"), ("p", "a", "x"))
    assert after["item_id"].to_list()[:2] == before["item_id"].to_list()


def test_editing_a_response_leaves_the_id_and_editing_the_question_does_not() -> None:
    before = items_of(("q", "a", "x"))["item_id"][0]
    assert items_of(("q", "a", "edited"))["item_id"][0] == before
    assert items_of(("edited", "a", "x"))["item_id"][0] != before
    assert items_of(("q", "edited", "x"))["item_id"][0] != before


def test_the_same_question_in_two_benchmarks_is_two_items() -> None:
    one, other = items_of(("q", "a", "x")), items_of(("q", "a", "x"), benchmark="c")
    assert one["item_id"][0] != other["item_id"][0]


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["first", "random"]), st.integers())
def test_a_larger_sample_contains_a_smaller_one(
    one: int, other: int, how: SamplingMethod, seed: int
) -> None:
    small, large = sorted((one, other))
    inner, outer = (sample_items(ITEMS, n, how, seed)["index"] for n in (small, large))
    assert set(inner) <= set(outer)
    assert len(inner) == min(small, 50)
    assert inner.is_sorted()


def test_the_first_are_the_first_of_the_source() -> None:
    assert sample_items(ITEMS, 3, "first")["index"].to_list() == [0, 1, 2]
    assert sample_items(ITEMS.reverse(), 3, "first")["index"].to_list() == [0, 1, 2]


def test_a_random_sample_depends_on_the_seed_alone() -> None:
    sample = sample_items(ITEMS, 10, "random", seed=1)
    assert sample.equals(sample_items(ITEMS.reverse(), 10, "random", seed=1))
    assert not sample.equals(sample_items(ITEMS, 10, "random", seed=2))


def test_no_sample_is_everything() -> None:
    assert sample_items(ITEMS, None, "random").equals(ITEMS)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(DataError, match="a sample of 0 items is empty"):
        sample_items(ITEMS, 0)
