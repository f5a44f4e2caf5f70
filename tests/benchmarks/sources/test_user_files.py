"""Anybody's own table becomes items, and what cannot is answered with cause and cure."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.table_files import read_table
from gradpipe.errors import DataError

ROWS = [
    {"instruction": "One plus one?", "answer": 2, "none": "2", "detailed": "1 + 1 is 2."},
    {"instruction": "Two plus two?", "answer": 4, "none": "4", "detailed": None},
]


def config(path: Path | str, **settings: Any) -> BenchmarkConfig:
    return BenchmarkConfig(name="sums", source="files", path=str(path), **settings)


def texts(items: pl.DataFrame, row: int = 0) -> dict[str, str]:
    return {response["style"]: response["text"] for response in items["responses"][row]}


def contents() -> dict[str, bytes]:
    table = pl.DataFrame(ROWS)
    parquet = io.BytesIO()
    table.write_parquet(parquet)
    return {
        "json": json.dumps(ROWS).encode(),
        "jsonl": "\n".join(map(json.dumps, ROWS)).encode() + b"\n\n",
        "csv": table.write_csv().encode(),
        "tsv": table.write_csv(separator="\t").encode(),
        "parquet": parquet.getvalue(),
    }


@pytest.mark.parametrize("kind", contents())
def test_every_kind_of_file_gives_the_same_items(kind: str, write: Any) -> None:
    items = read_items(config(write(f"sums.{kind}", contents()[kind])))
    assert items.schema == ITEM_SCHEMA
    assert items["index"].to_list() == [0, 1]
    assert items["answer"].to_list() == ["2", "4"]
    assert texts(items) == {"none": "2", "detailed": "1 + 1 is 2."}


def test_a_null_response_is_a_style_that_the_row_lacks(write: Any) -> None:
    items = read_items(config(write("sums.json", json.dumps(ROWS))))
    assert texts(items, row=1) == {"none": "4"}


def test_a_table_is_read_from_a_url(write: Any, site: Any) -> None:
    url = site.serve(write("sums.jsonl", contents()["jsonl"]).parent)
    assert read_table(f"{url}/sums.jsonl?version=2").height == 2


def test_columns_are_named_by_the_study(write: Any) -> None:
    path = write("sums.csv", "q,a,why,long\nOne?,1,because,It is one.\n")
    columns = {
        "instruction": "q",
        "answer": "a",
        "rationale": "why",
        "responses": {"detailed": "long"},
    }
    row = read_items(config(path, columns=columns)).row(0, named=True)
    assert (row["instruction"], row["answer"], row["rationale"]) == ("One?", "1", "because")
    assert [response["style"] for response in row["responses"]] == ["detailed"]


def test_one_column_may_serve_two_roles(write: Any) -> None:
    path = write("sums.csv", "instruction,output\nOne?,1\n")
    columns = {"answer": "output", "responses": {"none": "output"}}
    items = read_items(config(path, columns=columns))
    assert items["answer"][0] == texts(items)["none"] == "1"


def test_a_filled_input_is_joined_to_the_instruction(write: Any) -> None:
    path = write("sums.csv", 'instruction,input,none\nAdd:,1 1,2\nAdd:,,3\nAdd:," ",4\n')
    instructions = read_items(config(path))["instruction"].to_list()
    assert instructions == ["Add:\n1 1", "Add:", "Add:"]


def test_the_family_is_given_or_follows_from_the_styles(write: Any) -> None:
    reasoning = write("sums.csv", "instruction,none\nOne?,1\n")
    knowledge = write("facts.csv", "instruction,article\nRome,A city.\n")
    assert read_items(config(reasoning))["family"][0] == "commonsense"
    assert read_items(config(knowledge))["family"][0] == "knowledge"
    assert read_items(config(reasoning, family="math"))["family"][0] == "math"


def test_text_keeps_its_leading_zeros_and_mixed_values_become_text(write: Any) -> None:
    assert read_table(write("a.csv", "none\n007\n"))["none"][0] == "007"
    mixed = read_table(write("a.json", '[{"none": 1}, {"none": "x"}, {"none": 2.5}]'))
    assert mixed["none"].to_list() == ["1", "x", "2.5"]


def test_an_unusual_line_separator_inside_a_string_ends_no_line(write: Any) -> None:
    path = write("a.jsonl", '{"none": "one\u2028two"}\n')
    assert read_table(path)["none"].to_list() == ["one\u2028two"]


BAD = {
    "an empty file": ("a.json", b"", "a.json is empty: give a file"),
    "an empty array": ("a.json", b"[]", "a.json has no rows"),
    "a header alone": ("a.csv", b"instruction,none\n", "a.csv has no rows"),
    "cut JSON": ("a.json", b'[{"none": 1', "a.json is not well-formed JSON"),
    "an object for an array": ("a.json", b'{"none": 1}', "one dict, not an array of objects"),
    "numbers for objects": ("a.json", b"[1, 2]", "element 0 is a int, not an object"),
    "a bad line": ("a.jsonl", b'{"none": 1}\n{none}\n', "not well-formed JSONL .line 2:"),
    "a JSON array called JSONL": ("a.jsonl", b"[1]\n", "row 0 is a list, not an object"),
    "bytes that are not text": ("a.json", b'["\x81"]', "a.json is not text in UTF-8.*iconv"),
    "half a character": ("a.json", b'[{"none": "\\ud83d"}]', "surrogates not allowed"),
    "ragged CSV": ("a.csv", b"a,b\n1,2,3\n", "a.csv is not well-formed CSV"),
    "Windows' CSV": ("a.csv", b"a,b\n1,\xe9\n", "'é' there.: it is probably Windows-1252"),
    "no Parquet at all": ("a.parquet", b"PAR1 or not", "a.parquet is not well-formed PARQUET"),
    "an unknown extension": ("a.jsnl", b"[]", "'.jsnl', which is not a table's: did you mean '.js"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_table_is_refused(case: str, write: Any) -> None:
    name, content, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_table(write(name, content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sums.json does not exist"):
        read_items(config(tmp_path / "sums.json"))


def test_a_benchmark_of_files_needs_a_path() -> None:
    with pytest.raises(DataError, match="'sums' has the source `files` but no file: give"):
        read_items(BenchmarkConfig(name="sums", source="files"))


@pytest.mark.parametrize("role", ["instruction", "input", "answer", "rationale"])
def test_a_named_column_that_is_missing_is_answered_with_the_nearest(role: str, write: Any) -> None:
    path = write("sums.csv", "instruction,text,none\nOne?,x,1\n")
    with pytest.raises(DataError, match="no column 'texts': did you mean 'text'"):
        read_items(config(path, columns={role: "texts"}))


def test_a_response_column_that_is_missing_is_answered_with_the_nearest(write: Any) -> None:
    path = write("sums.csv", "instruction,long\nOne?,1\n")
    with pytest.raises(DataError, match="no column 'lon': did you mean 'long'"):
        read_items(config(path, columns={"responses": {"detailed": "lon"}}))


def test_a_table_without_responses_says_how_to_name_them(write: Any) -> None:
    path = write("sums.csv", "instruction,reply\nOne?,1\n")
    with pytest.raises(DataError, match="only instruction, reply.*responses: {detailed: reply}"):
        read_items(config(path))


def test_an_unknown_style_is_answered_with_the_nearest(write: Any) -> None:
    path = write("sums.csv", "instruction,output\nOne?,1\n")
    with pytest.raises(DataError, match="unknown style 'detaild': did you mean 'detailed'"):
        read_items(config(path, columns={"responses": {"detaild": "output"}}))


def test_a_null_instruction_is_named_by_its_row(write: Any) -> None:
    path = write("sums.csv", "instruction,none\nOne?,1\n,2\n")
    with pytest.raises(DataError, match="'instruction' of .*sums.csv is null in row 1"):
        read_items(config(path))


def test_a_column_of_lists_is_no_text(write: Any) -> None:
    path = write("sums.json", '[{"instruction": ["One?"], "none": "1"}]')
    with pytest.raises(DataError, match=r"'instruction' of .* holds List\(String\), not text"):
        read_items(config(path))
