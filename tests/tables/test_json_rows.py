"""The shapes of JSON that hold rows, and the values that are missing in them."""

import json
from typing import Any

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.tables.parts import open_part
from tests.tables.texts import frame

ROWS = [{"instruction": "2+2?", "output": "4"}, {"instruction": "3+3?", "output": "6"}]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(json.dumps, ROWS)),
        "\r\n\r\n".join(map(json.dumps, ROWS)) + "\r\n",
        json.dumps({"data": ROWS}),
        json.dumps({"version": "1.0", "train": ROWS, "tags": ["a"], "empty": []}),
    ],
)
def test_rows_are_read_from_every_shape_and_written_in_it(text: str) -> None:
    assert frame(text, "a.json").to_dicts() == ROWS
    added = pl.DataFrame({"score": [1.0, None]})
    written = rewrite_rows([open_part(text.encode(), "a.json")], [1, 0], added)
    assert frame(written, "a.json")["instruction"].to_list() == ["3+3?", "2+2?"]
    if text.startswith('{"instruction'):
        assert [json.loads(line)["score"] for line in written.splitlines()] == [1.0, None]
    else:
        whole = {key: value for key, value in json.loads(written).items() if value != []}
        assert list(whole) == [key for key, value in json.loads(text).items() if value != []]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ROWS, "test": ROWS}, "the lists 'train', 'test', and one is read"),
        ({"instruction": ["a"], "output": ["b"]}, "the lists 'instruction', 'output'"),
        ({"data": [1, 2]}, "element of 'data', 0 is a int, not an object"),
        ({"data": [*ROWS, 3]}, "element of 'data', 2 is a int"),
        ({"data": []}, "has no rows"),
        ({"instruction": "a", "output": "b"}, "one dict, not an array of objects"),
        ({str(n): ROWS for n in range(100)}, "and 92 more, and one is read"),
    ],
)
def test_an_object_without_a_single_list_of_rows_is_refused(content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        frame(json.dumps(content), "a.json")


def test_a_bad_line_is_named_by_its_number() -> None:
    with pytest.raises(DataError, match=r"not well-formed JSON .line 2:"):
        frame('{"a": 1}\n{a}\n', "a.json")
    with pytest.raises(DataError, match=r"not well-formed JSON .line 1: Extra data"):
        frame('{"a": 1}{"a": 2}', "a.json")


def test_nan_among_texts_is_a_missing_text() -> None:
    text = '[{"a": "x", "n": 1}, {"a": NaN, "n": NaN}, {"a": null, "n": "y"}, {"n": 2.5}]'
    assert frame(text, "a.json")["a"].to_list() == ["x", None, None, None]
    assert frame(text, "a.json")["n"].to_list() == ["1", None, "y", "2.5"]


@pytest.mark.parametrize(
    "cells",
    [
        [[{"a": "x"}], [{"a": [{"b": "x"}]}]],
        [{"a": {"b": 1}}, {"a": {"b": "1"}}],
        [[1], [2**70]],
        [[1, "a"]],
        [{"a": [1.5, None]}, {"a": [True]}],
    ],
    ids=str,
)
def test_cells_that_mix_kinds_inside_are_kept_whole_as_text(cells: list[Any]) -> None:
    text = "\n".join(json.dumps({"n": cell}) for cell in cells)
    assert [json.loads(cell) for cell in frame(text, "a.jsonl")["n"]] == cells


def test_cells_of_one_kind_keep_their_lists_and_objects() -> None:
    cells = [[{"a": "x", "b": 1}], [{"a": None, "b": 2}], [], None]
    text = "\n".join(json.dumps({"n": cell}) for cell in cells)
    assert frame(text, "a.jsonl")["n"].to_list() == cells
