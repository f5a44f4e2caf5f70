"""Large data files: the same examples and the same ranked file as if they were read whole."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from pyarrow import feather, parquet

from bench.stub_runner import StubRunner
from gradpipe.errors import DataError
from gradpipe.standalone import data_stream, rewrite_stream
from gradpipe.standalone.data_stream import RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.rank_file import rank_file
from gradpipe.tables.streams import WholeTable

ROWS: list[dict[str, Any]] = [
    {"instruction": f"Say {n}.", "output": 'Größe, "x"\n' * (n % 5), "id": f"0{n}", "n": n}
    for n in range(300)
]
KINDS = ("jsonl", "csv", "tsv", "parquet", "arrow", "feather")


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every local file counts as large, and few rows are read at a time."""
    monkeypatch.setattr(data_stream, "WHOLE_BYTES", 0)
    monkeypatch.setattr(data_stream, "BATCH_ROWS", 32)
    monkeypatch.setattr(rewrite_stream, "BUCKET_BYTES", 2000)
    monkeypatch.setattr(rewrite_stream, "_ROWS", 17)


def write(kind: str, path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as a file with that ending."""
    path, frame = path.with_suffix(f".{kind}"), pl.DataFrame(rows)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.replace_schema_metadata({"huggingface": "kept"})
    if kind == "jsonl":
        path.write_text("\n\n".join(map(json.dumps, rows)))
    elif kind in ("csv", "tsv"):
        frame.write_csv(path, separator="," if kind == "csv" else "\t")
    elif kind == "parquet":
        parquet.write_table(table, path, row_group_size=70)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=50)
    else:
        feather.write_feather(table, str(path), chunksize=50)
    return path


def read(chunks: ExampleChunks) -> tuple[list[int], list[Any]]:
    """All row numbers and all examples."""
    numbers, examples = [], []
    for chunk in chunks:
        numbers += chunk.rows
        examples += chunk.examples
    return numbers, examples


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_has_the_examples_of_the_whole_table(
    kind: str, tmp_path: Path, streamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(kind, tmp_path / "rows", ROWS)
    stream = open_data(str(path))
    assert not stream.whole
    found = read(ExampleChunks(stream=stream, rows=50))
    monkeypatch.setattr(data_stream, "WHOLE_BYTES", 2**30)
    whole = open_data(str(path))
    assert isinstance(whole, WholeTable)
    assert found == read(ExampleChunks(stream=whole))
    assert found[0] == list(range(300))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", [None, 0.1])
def test_the_ranked_file_of_a_stream_has_the_content_of_the_whole_one(
    kind: str,
    top: float | None,
    tmp_path: Path,
    streamed: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(kind, tmp_path / "rows", ROWS)
    one, other = tmp_path / f"one.{kind}", tmp_path / f"other.{kind}"
    order = RankOrder(by="nuclear_norm", top=top)
    found = rank_file(str(path), one, order, StubRunner())
    monkeypatch.setattr(data_stream, "WHOLE_BYTES", 2**30)
    assert_frame_equal(found, rank_file(str(path), other, order, StubRunner()))
    if kind in ("jsonl", "csv", "tsv"):
        assert one.read_bytes() == other.read_bytes()
        return
    tables = [
        parquet.read_table(file) if kind == "parquet" else _arrow(file) for file in (one, other)
    ]
    assert tables[0].equals(tables[1], check_metadata=True)
    assert not list(tmp_path.glob(".*"))


def _arrow(path: Path) -> pa.Table:
    data = path.read_bytes()
    opened = pa.ipc.open_file if data.startswith(b"ARROW1") else pa.ipc.open_stream
    return opened(BytesIO(data)).read_all()


def test_a_key_that_only_late_rows_have_and_a_format_found_early(
    tmp_path: Path, streamed: None
) -> None:
    chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    rows: list[dict[str, Any]] = [{"messages": chat} for _ in range(100)]
    rows += [{"messages": None}, {"messages": "no list"}, {"messages": chat, "system": "Be kind."}]
    path = write_lines(tmp_path / "chats.jsonl", rows)
    numbers, examples = read(ExampleChunks(stream=open_data(str(path))))
    assert numbers == list(range(103))
    assert [type(example).__name__ for example in examples[99:]] == [
        "Conversation",
        "Unusable",
        "Unusable",
        "Conversation",
    ]
    assert examples[102].messages[0] == {"role": "system", "content": "Be kind."}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("whole", [True, False])
def test_rows_are_selected_by_number_and_by_condition(
    kind: str, whole: bool, tmp_path: Path, streamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if whole:
        monkeypatch.setattr(data_stream, "WHOLE_BYTES", 2**30)
    path = write(kind, tmp_path / "rows", ROWS)

    def selected(**given: Any) -> list[int]:
        selection = RowSelection(**given)
        chunks = ExampleChunks(stream=open_data(str(path), selection), selection=selection)
        return read(chunks)[0]

    assert selected(offset=10, limit=80) == list(range(10, 90))
    assert selected(offset=295, limit=80) == list(range(295, 300))
    number = "CAST(n AS BIGINT)"
    assert selected(where=f"{number} % 100 = 7") == [7, 107, 207]
    assert selected(offset=8, limit=200, where=f"{number} % 100 = 7") == [107, 207]
    assert selected(where="instruction IN ('Say 3.', 'Say 299.')") == [3, 299]
    for where, named in (
        ("m = 1", "instruction"),
        ("n = = 1", "source"),
        ("1 = 1", "column"),
        ("instruction = 'none'", "selected"),
    ):
        with pytest.raises(DataError, match=named):
            selected(where=where)
    with pytest.raises(DataError, match="300 rows.* offset of 300"):
        selected(offset=300)


def test_a_line_that_is_no_object_is_named(tmp_path: Path, streamed: None) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, ROWS), "[1]"]))
    with pytest.raises(DataError, match=r"rows\.jsonl .*list"):
        read(ExampleChunks(stream=open_data(str(path))))
    path.write_text("\n".join([*map(json.dumps, ROWS), "{"]))
    with pytest.raises(DataError, match="line 301"):
        read(ExampleChunks(stream=open_data(str(path))))


def test_shards_follow_each_other_and_need_the_same_columns(tmp_path: Path, streamed: None) -> None:
    for kind in ("jsonl", "csv", "parquet"):
        folder = tmp_path / kind
        folder.mkdir()
        for start in (0, 100, 200):
            write(kind, folder / f"{start:03d}", ROWS[start : start + 100])
        assert read(ExampleChunks(stream=open_data(str(folder))))[0] == list(range(300))
        if kind != "jsonl":
            write(kind, folder / "300", [{"instruction": "a", "answer": "b"}])
            with pytest.raises(DataError, match="not parts of one table"):
                read(ExampleChunks(stream=open_data(str(folder))))


def test_an_empty_file_and_a_pipe_are_refused_as_ever(tmp_path: Path, streamed: None) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        read(ExampleChunks(stream=open_data(str(path))))


def test_an_index_of_pandas_stays_with_its_rows(tmp_path: Path, streamed: None) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "rows.parquet"
    frame = pandas.DataFrame(ROWS, index=pandas.RangeIndex(10, 3010, 10))
    frame.to_parquet(path)
    out = tmp_path / "ranked.parquet"
    rank_file(str(path), out, RankOrder(by="nuclear_norm"), StubRunner())
    ranked = pandas.read_parquet(out)
    assert (ranked["n"].to_numpy() == np.asarray(ranked.index) // 10 - 1).all()
