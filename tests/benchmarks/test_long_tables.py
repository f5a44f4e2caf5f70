"""Tables of a study's own styles: a column per style, or a row per response."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.errors import DataError

OWN = {"teacher_a": "teacher_a", "teacher_b": "GPT-4o"}
WIDE = pl.DataFrame(
    {
        "instruction": ["One plus one?", "Two plus two?", "One plus one?"],
        "answer": ["2", "4", "two"],
        "teacher_a": ["It is 2.", "It is 4.", "It is two."],
        "GPT-4o": ["2", None, "two"],
    }
)
LONG = WIDE.unpivot(
    ["GPT-4o", "teacher_a"],
    index=["instruction", "answer"],
    variable_name="teacher",
    value_name="text",
).drop_nulls()
NAMED = {"style": "teacher", "response": "text"}


def items(folder: Path, table: pl.DataFrame, **columns: str) -> pl.DataFrame:
    table.write_csv(folder / "answers.csv")
    config = BenchmarkConfig(
        name="sums", source="files", path=str(folder / "answers.csv"), columns=columns
    )
    return read_items(config.with_own_styles(OWN))


def test_a_row_per_response_gives_the_items_of_a_column_per_style(tmp_path: Path) -> None:
    wide = items(tmp_path, WIDE)
    assert wide["responses"][0].to_list() == [
        {"style": "teacher_a", "relevance": "correct", "text": "It is 2."},
        {"style": "teacher_b", "relevance": "correct", "text": "2"},
    ]
    long = items(tmp_path, LONG, **NAMED)
    responses = pl.col("responses").list.eval(
        pl.element().sort_by(pl.element().struct.field("style"))
    )
    assert_frame_equal(
        long.with_columns(responses).drop("index"), wide.drop("index"), check_row_order=False
    )


@pytest.mark.parametrize("named", [False, True])
def test_each_teachers_rationale_leaves_the_responses_of_an_item_together(
    named: bool, tmp_path: Path
) -> None:
    thoughts = LONG.with_columns(rationale=pl.format("{} thinks", "teacher"))
    plain = items(tmp_path, LONG, **NAMED)
    read = items(tmp_path, thoughts, **NAMED, **({"rationale": "rationale"} if named else {}))
    assert read["responses"].list.len().to_list() == [2, 2, 1]
    assert_frame_equal(read.drop("rationale"), plain.drop("rationale"))
    first = ["GPT-4o thinks", "GPT-4o thinks", "teacher_a thinks"]
    assert read["rationale"].to_list() == (first if named else [None, None, None])


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ({"instruction": "input"}, {"instruction": "input"}),
        ({"text": "answer"}, {"response": "answer"}),
        ({"teacher": "input"}, {"style": "input"}),
        ({"answer": "input"}, {"answer": "input"}),
    ],
)
def test_a_column_with_one_role_has_no_other(
    names: dict[str, str], columns: dict[str, str], tmp_path: Path
) -> None:
    table = LONG.filter(pl.col("answer") != "two")
    table = table.drop("answer") if "text" in names else table
    read = items(tmp_path, table.rename(names), **NAMED | columns)
    assert_frame_equal(read, items(tmp_path, table, **NAMED))


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        (
            WIDE.drop("GPT-4o"),
            {},
            "no column 'GPT-4o' for the style 'teacher_b'.*, teacher_a",
        ),
        (LONG.filter(teacher="teacher_a"), NAMED, "no response of the style 'GPT-4o', only"),
        (LONG.with_columns(teacher=pl.lit("techer_a")), NAMED, "'techer_a'.*mean 'teacher_a'"),
        (pl.concat([LONG, LONG.head(1)]), NAMED, "two responses of the style 'teacher_b'"),
        (LONG.rename({"text": "said"}), {"style": "teacher"}, "none of responses, only"),
    ],
)
def test_a_style_that_no_row_has_is_answered_with_what_there_is(
    table: pl.DataFrame, columns: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        items(tmp_path, table, **columns)
