"""Items keep their identity when their benchmark changes around them."""

import polars as pl

from gradpipe.benchmarks.items import ITEM_SCHEMA, build_items

NONE = {("none", "correct"): "text"}


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
