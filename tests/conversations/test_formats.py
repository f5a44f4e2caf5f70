"""A table's format is found by its columns' names and values, and named in a sentence."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from gradpipe.conversations.formats import FORMAT_KINDS, DataFormat, find_format
from gradpipe.errors import DataError

CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
CELLS: dict[str, Any] = {
    "instruction": "a",
    "output": "b",
    "input_ids": [1, 2],
    "messages": CHAT,
    "conversations": CHAT,
    "prompt": "a",
    "completion": "b",
    "response": "b",
    "chosen": "b",
    "question": "a",
    "answer": "b",
    "problem": "a",
    "solution": "b",
    "text": "ab",
}


def test_of_two_formats_in_a_table_the_first_in_the_list_is_read(
    as_json: Callable[..., pl.DataFrame],
) -> None:
    for first, kind in enumerate(FORMAT_KINDS):
        roles = [role for later in FORMAT_KINDS[first:] for role in later.required]
        table = as_json([{role: CELLS[role] for role in roles}])
        assert find_format(table, "data").kind == kind.name


@pytest.mark.parametrize("role", ["input_ids", "messages", "conversations"])
def test_a_column_of_the_right_name_with_other_values_is_no_format(
    role: str, as_json: Callable[..., pl.DataFrame]
) -> None:
    table = as_json([{role: 7, "text": "ab"}])
    assert find_format(table, "data") == DataFormat("text", {"text": "text"})


@pytest.mark.parametrize("beside", ["labels", "spans", "tools", "system"])
def test_an_optional_column_with_other_values_is_not_used(
    beside: str, as_json: Callable[..., pl.DataFrame]
) -> None:
    table = as_json([{"input_ids": [1, 2], "labels": 3}, {"input_ids": [1], "labels": 0}])
    assert find_format(table, "data").columns == {"input_ids": "input_ids"}
    wrong: Any = ["x"] if beside == "system" else 3
    table = as_json([{"messages": CHAT, beside: wrong}])
    assert find_format(table, "data").columns == {"messages": "messages"}


@pytest.mark.parametrize(
    ("row", "columns", "sentence"),
    [
        (
            {"chat": CHAT, "tools": [{"a": 1}]},
            {"messages": "chat"},
            "messages in the column `chat`, with `tools`",
        ),
        (
            {"prompt": "a", "chosen": CHAT},
            None,
            "preferred responses, as texts and messages, in the columns `prompt` and `chosen`",
        ),
        (
            {"prompt": CHAT, "completion": CHAT},
            None,
            "prompts and completions, as messages, in the columns `prompt` and `completion`",
        ),
        (
            {"q": "a", "a": "b"},
            {"question": "q", "answer": "a"},
            "questions and answers in the columns `q` and `a`",
        ),
        (
            {"instruction": "a", "input": "", "output": "b"},
            None,
            "instructions and outputs in the columns `instruction`, `input` and `output`",
        ),
        (
            {"input_ids": [1], "labels": [1], "completion_mask": [1]},
            None,
            "token ids in the column `input_ids`, with `labels` and `completion_mask`",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_sentence_names_the_format_and_its_columns(
    row: dict[str, Any],
    columns: dict[str, str] | None,
    sentence: str,
    as_json: Callable[..., pl.DataFrame],
) -> None:
    assert find_format(as_json([row]), "data", columns).sentence() == sentence


@pytest.mark.parametrize(
    ("row", "columns", "named"),
    [
        (
            {"foo": 1, "bar": 2},
            None,
            r"data\.csv.*'foo' and 'bar'.*--columns.*messages.*'question'/'answer'",
        ),
        ({"chat": CHAT}, None, "--columns messages=chat"),
        (
            {"prompt": "a", "completions": "b"},
            None,
            "'completion'.*'prompt'.*--columns completion=completions",
        ),
        ({"a": "b"}, {"mesages": "a"}, "'mesages'.*'messages'"),
        ({"text": "b"}, {"messages": "txt"}, r"data\.csv.*'txt'.*'text'"),
        ({"a": "b"}, {"messages": "a"}, r"'a' of data\.csv.*String.*messages"),
        ({"a": "b"}, {"messages": "a", "text": "a"}, "`messages` and `text`"),
        ({"question": [1], "answer": "b"}, None, "'question'.*List.*texts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_without_a_format_is_refused_with_its_columns_and_the_cure(
    row: dict[str, Any],
    columns: dict[str, str] | None,
    named: str,
    as_json: Callable[..., pl.DataFrame],
) -> None:
    with pytest.raises(DataError, match=named):
        find_format(as_json([row]), "data.csv", columns)


def test_a_table_with_many_long_names_is_refused_in_a_short_sentence() -> None:
    table = pl.DataFrame({f"{number}{'x' * 1000}": [1] for number in range(1000)})
    with pytest.raises(DataError) as refusal:
        find_format(table, "data.csv")
    assert len(str(refusal.value)) < 1000
