"""The packaged benchmarks are read from their folder, or from one like it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.errors import DataError

LINE = {"instruction": "1 + 1?", "answer": "2", "responses": {"detailed": "It is 2.", "none": "2"}}


def config(folder: Path, name: str = "mini_maths") -> BenchmarkConfig:
    return BenchmarkConfig(name=name, source="mini", path=str(folder))


def test_a_line_is_an_item_with_its_styles_in_order(write: Any) -> None:
    items = read_items(config(write("mini_maths.jsonl", json.dumps(LINE)).parent))
    row = items.row(0, named=True)
    assert (row["benchmark"], row["family"], row["answer"]) == ("mini_maths", "math", "2")
    assert [r["style"] for r in row["responses"]] == ["none", "detailed"]


def test_without_a_path_the_packaged_folder_is_read(write: Any, monkeypatch: Any) -> None:
    folder = write("data/mini_obscure.jsonl", json.dumps(LINE)).parent.parent
    monkeypatch.setattr("gradpipe.benchmarks.sources.mini.resources.files", lambda package: folder)
    items = read_items(BenchmarkConfig(name="mini_obscure", source="mini"))
    assert items["family"][0] == "knowledge"


def test_the_version_follows_the_content(write: Any) -> None:
    path = write("mini_maths.jsonl", json.dumps(LINE))
    before = source_version(config(path.parent))
    path.write_text(json.dumps(LINE | {"answer": "two"}))
    assert source_version(config(path.parent)) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"responses": None}, "needs `responses` in every line"),
        ({"responses": {"long": "x"}}, "unknown style 'long'"),
        ({"instruction": None}, "'instruction' of .* is null in row 0"),
        ({"responses": {"none": [1]}}, "'none' of .* holds List"),
    ],
)
def test_a_malformed_line_is_refused(change: dict[str, Any], message: str, write: Any) -> None:
    path = write("mini_maths.jsonl", json.dumps(LINE | change))
    with pytest.raises(DataError, match=message):
        read_items(config(path.parent))
