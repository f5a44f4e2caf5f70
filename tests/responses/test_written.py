"""What a model wrote takes its place among an item's responses, judged."""

import polars as pl
import pytest

from gradpipe.benchmarks.items import build_items
from gradpipe.responses.written import (
    QUALITY_SCHEMA,
    Mismatches,
    judge_written,
    with_matched,
    with_written,
)


def items(**ready: str) -> pl.DataFrame:
    table = pl.DataFrame(
        {
            "instruction": ["What is 2 + 2?", "What is 3 + 3?"],
            "answer": ["4", "6"],
            "rationale": pl.Series([None, None], dtype=pl.String),
            **{style: [text] * 2 for style, text in ready.items()},
        }
    )
    return build_items(table, "sums", "math", {(style, "correct"): style for style in ready})


def judged(of: pl.DataFrame, *texts: str) -> pl.DataFrame:
    written = pl.DataFrame(
        {"item_id": of["item_id"], "style": "detailed", "text": texts, "finish_reason": "stop"}
    )
    return judge_written(of, written, None)


def responses(found: pl.DataFrame) -> list[dict[str, str]]:
    return [
        {response["style"]: response["text"] for response in row}
        for row in found["responses"].to_list()
    ]


RIGHT, WRONG = "We add. The final answer is 4", "We guess. The final answer is 5"


def test_each_response_gets_its_verdict() -> None:
    quality = judged(items(), RIGHT, WRONG)
    assert quality.schema == QUALITY_SCHEMA
    assert quality["verdict"].to_list() == ["passed", "answer_differs"]
    assert quality["found_answer"].to_list() == ["4", "5"]


@pytest.mark.parametrize(("mismatches", "kept"), [("exclude", 1), ("keep", 2)])
def test_what_fails_is_left_out_or_kept(mismatches: Mismatches, kept: int) -> None:
    found = responses(with_written(items(), judged(items(), RIGHT, WRONG), mismatches))
    assert sum("detailed" in row for row in found) == kept


def test_the_bare_answer_is_the_response_none_where_the_source_has_none() -> None:
    nothing = QUALITY_SCHEMA.to_frame()
    assert responses(with_written(items(), nothing, "keep")) == [{"none": "4"}, {"none": "6"}]
    ready = responses(with_written(items(none="(A)"), nothing, "keep"))
    assert ready == [{"none": "(A)"}, {"none": "(A)"}]


def test_a_written_style_replaces_the_sources_even_where_it_failed() -> None:
    given = items(none="4", detailed="The source's own.")
    found = responses(with_written(given, judged(given, RIGHT, WRONG), "exclude"))
    assert found == [{"none": "4", "detailed": RIGHT}, {"none": "4"}]


def test_items_keep_their_order_and_their_other_columns() -> None:
    given = items(simplified="Short.")
    found = with_written(given, judged(given, RIGHT, RIGHT), "keep")
    assert found.drop("responses").equals(given.drop("responses"))


def test_matched_styles_are_made_where_they_are_wanted() -> None:
    given = items(
        none="4", simplified="Two and two. Four.", detailed="First two. Then two more. So it is 4."
    )
    found = responses(with_matched(given, ["detailed_cut"], None))
    assert all(set(row) == {"none", "simplified", "detailed", "detailed_cut"} for row in found)
    assert all(row["detailed"].startswith(row["detailed_cut"].rstrip()) for row in found)
    assert responses(with_matched(given, ["none"], None)) == responses(given)
