"""Data files that mean harm: refused in a sentence before they fill the memory."""

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.fetch import content_key, read_bytes
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.remote_parquet import read_parquet
from gradpipe.benchmarks.sources import page_views
from gradpipe.benchmarks.sources.flan import parse_tsv
from gradpipe.benchmarks.sources.page_views import read_views
from gradpipe.benchmarks.table_files import parse_table, read_table, text_column
from gradpipe.errors import DataError
from gradpipe.untrusted import limits
from gradpipe.untrusted.parquet_footer import column_chunks

KINDS = ("json", "jsonl", "ndjson", "csv", "tsv", "parquet", "arrow", "feather")
CSV = b"instruction,none\nOne?,1\n"


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def memory() -> int:
    """The most bytes that this process had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def written(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, store_schema=False, **options)
    return buffer.getvalue()


def repeated(text: str, rows: int) -> bytes:
    """A Parquet file of one text that stands in many rows, and once in the file."""
    indices = pa.array([0] * rows, pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array([text]))
    return written(pa.table({"instruction": column}))


def test_a_text_that_many_rows_share_is_counted_for_each_of_them(
    write: Any,
) -> None:
    data = repeated("x" * 1_000_000, 1_000_000)
    assert len(data) < 60_000
    path = str(write("a.parquet", data))
    for read in (lambda: parse_table(data, path), lambda: read_parquet(path)):
        before = memory()
        assert refusal(read) == (
            f"{path} unpacks to 931.3 GiB or more, above the limit of 2 GiB: keep only the columns "
            "and rows that are needed, or split it."
        )
        assert memory() - before < 2**29


def test_texts_that_share_their_beginnings_are_not_read_where_they_may_be_of_any_size(
    write: Any,
) -> None:
    table = pa.table({"instruction": ["x" * 100_000] * 1000})
    encoding = {"instruction": "DELTA_BYTE_ARRAY"}
    options: dict[str, Any] = {"use_dictionary": False, "column_encoding": encoding}
    small = written(table[:3], **options)
    assert parse_table(small, "a.parquet")["instruction"].str.len_bytes().sum() == 300_000
    data = written(pa.concat_tables([table] * 30), **options)
    assert len(data) < 20_000
    path = str(write("a.parquet", data))
    for read in (lambda: parse_table(data, path), lambda: read_parquet(path)):
        assert "that can unpack to any size (DELTA_BYTE_ARRAY)" in refusal(read)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0.0] * 300_000),
        pa.nulls(300_000, pa.int64()),
        pa.nulls(300_000, pa.string()),
        pa.array([[None] * 300_000], pa.list_(pa.int64())),
        pa.array([{"deep": {"er": "x" * 3_000_000}}]),
    ],
    ids=["zeros", "nulls", "null texts", "one long list", "inside a structure"],
)
def test_parquet_that_says_it_is_too_large_is_not_read(
    column: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(pa.table({"instruction": column}), compression="zstd")
    assert len(data) < 5_000
    path = write("a.parquet", data)
    assert parse_table(data, "a.parquet").height == read_parquet(str(path)).height
    monkeypatch.setattr(limits, "LARGEST_TABLE", 2**20)

    def no_reader(*_: Any, **__: Any) -> None:
        pytest.fail("it was read")

    monkeypatch.setattr(pl, "read_parquet", no_reader)
    monkeypatch.setattr(pl, "scan_parquet", no_reader)
    for read in (lambda: parse_table(data, "a.parquet"), lambda: read_parquet(str(path))):
        assert "unpacks to 2." in (message := refusal(read))
        assert "above the limit of 1 MiB: keep only the columns" in message


def test_only_the_columns_that_are_read_count(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"title": ["a"], "text": ["b"], "other": ["x" * 2_000_000]})
    path = str(write("a.parquet", written(table)))
    monkeypatch.setattr(limits, "LARGEST_TABLE", 2**20)
    assert read_parquet(path, ("title", "text")).rows() == [("a", "b")]
    assert "above the limit" in refusal(lambda: read_parquet(path))


TABLES = st.integers(1, 40).flatmap(
    lambda rows: st.fixed_dictionaries(
        {},
        optional={
            "a": st.lists(st.none() | st.text(max_size=5), min_size=rows, max_size=rows),
            "b": st.lists(st.none() | st.integers(0, 9), min_size=rows, max_size=rows),
            "c": st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=rows, max_size=rows),
            "é": st.lists(st.just({"x": 1, "y": ["z"]}), min_size=rows, max_size=rows),
        },
    ).filter(bool)
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TABLES, st.sampled_from(["none", "zstd"]), st.integers(1, 50))
def test_a_footer_says_what_pyarrow_finds_in_it(
    columns: dict[str, list[Any]], compression: str, group: int
) -> None:
    data = written(pa.table(columns), compression=compression, row_group_size=group)
    about = parquet.ParquetFile(io.BytesIO(data)).metadata
    chunks = [
        about.row_group(row_group).column(column)
        for row_group in range(about.num_row_groups)
        for column in range(about.num_columns)
    ]
    assert [chunk[:3] for chunk in column_chunks(io.BytesIO(data))] == [
        (tuple(chunk.path_in_schema.split(".")), chunk.num_values, chunk.total_uncompressed_size)
        for chunk in chunks
    ]
    for read, chunk in zip(column_chunks(io.BytesIO(data)), chunks, strict=True):
        assert read.by_dictionary == ("RLE_DICTIONARY" in chunk.encodings)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", ""])
def test_texts_are_read_however_they_are_written(encoding: str) -> None:
    texts = ["a", None, "ab" * 50, "ab" * 51]
    table = pa.table({"none": texts, "more": [["x"], [], None, ["y", "z"]]})
    if encoding:
        data = written(table, use_dictionary=False, column_encoding=encoding)
    else:
        data = written(table, data_page_version="2.0", write_batch_size=1, compression="brotli")
    assert parse_table(data, "a.parquet")["none"].to_list() == texts


SOUND = written(pa.table({"instruction": ["a", "b"], "none": ["1", None]}))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=3),
    st.integers(0, len(SOUND)),
)
@example([], 0)
def test_a_damaged_parquet_file_is_a_table_or_refused(
    changes: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(SOUND)
    for place, byte in changes:
        damaged[place] = byte
    for data in (bytes(damaged), bytes(damaged[:cut])):
        try:
            table = parse_table(data, "a.parquet")
        except DataError:
            continue
        assert table.height


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}:,"\\nul1e-. \n\t'), max_size=40))
def test_any_bytes_are_a_table_of_texts_or_refused(kind: str, content: bytes | str) -> None:
    data = content.encode() if isinstance(content, str) else content
    try:
        table = parse_table(data, f"a.{kind}")
        columns = [text_column(table, column, f"a.{kind}") for column in table.columns]
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert {column.dtype for column in columns} <= {pl.String()}
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.json", b"[" * 100_000, "its values are nested too deeply"),
        ("a.json", b'{"a":' * 100_000, "its values are nested too deeply"),
        ("a.jsonl", b'{"a":' * 100_000, "its values are nested too deeply"),
        ("a.json", b'[{"none": 1, "none": 2}]', "an object has the key 'none' twice"),
        ("a.jsonl", b'{"a": {"b": 1, "b": 1}}', "an object has the key 'b' twice"),
        ("a.json", b'[{"\\ud800": 1}]', "surrogates not allowed"),
        ("a.json", b'[{"none": ' + b"1" * 5000 + b"}]", "Exceeds the limit"),
        ("a.json", b"\xff\xfe[\x00{\x00}\x00]\x00]", "begins as UTF-16 but is not"),
        ("a.json", b"\xff\xfe[\x00{\x00}\x00]\x00", "has no rows"),
        ("a.json", b"\xef\xbb\xbf", "a.json is empty"),
        ("a.json", b"null", "one NoneType, not an array"),
        ("a.csv", b"none,b,none\n1,2,3\n", "two columns are called 'none'"),
        ("a.tsv", b"a\ta\n1\t2\n", "two columns are called 'a'"),
        ("a.csv", "long,b\n1,é\n".encode("utf-16-le"), "probably UTF-16LE, so convert it"),
        ("a.parquet", b"PAR1\x49\x1c\x15\x02\x00\x00\x05\x00\x00\x00PAR1", "Invalid data"),
        ("a.parquet", b"PAR1" + b"\xff" * 4 + b"PAR1", "does not end as a Parquet file does"),
        ("a.parquet", b"PAR1" + b"\x49\x1c\0\0" + b"\4\0\0\0PAR1", "does not describe its col"),
        ("a.parquet", b"PAR1" + b"\x4d\0" + b"\2\0\0\0PAR1", "has a value of an unknown kind"),
        ("a.parquet", b"PAR1" + b"\x1c" * 99 + b"\x63\0\0\0PAR1", "is nested too deeply"),
        ("a.parquet", b"PAR1\x19\x1c\x02\x00\x00\x00PAR1", "its footer ends too early"),
    ],
)
def test_a_table_that_would_break_its_reader_is_refused(
    name: str, data: bytes, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        parse_table(data, name)


def test_whole_numbers_beyond_64_bits_are_kept_as_text() -> None:
    big = 10**400
    table = parse_table(json.dumps([{"a": 1}, {"a": big}, {"a": None}]).encode(), "a.json")
    assert table["a"].to_list() == ["1", str(big), None]
    assert parse_table(b'[{"a": 9223372036854775807}]', "a.json")["a"].dtype == pl.Int64


def test_a_nul_byte_is_a_character_like_others() -> None:
    assert parse_table(b'[{"none": "a\\u0000b"}]', "a.json")["none"][0] == "a\0b"
    assert parse_table(b"none\na\0b\n", "a.csv")["none"][0] == "a\0b"


def tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", data)
    return buffer.getvalue()


def zstandard(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, zstandard, bz2.compress, lzma.compress, tarred, zipped]
)
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_not_unpacked_whatever_it_is_called(
    pack: Callable[[bytes], bytes], kind: str
) -> None:
    message = refusal(lambda: parse_table(pack(CSV), f"a.{kind}"))
    assert "archive, which gradpipe does not unpack" in message
    assert message.endswith("unpack it and give the file in it.")


@pytest.mark.parametrize("ending", ["zip", "gz", "tar", "tgz", "parquet.zst", "7z", "csv.bz2"])
def test_a_file_called_an_archive_is_refused_as_one(ending: str, write: Any) -> None:
    assert "does not unpack" in refusal(lambda: read_table(write(f"a.{ending}", CSV)))


def test_a_pinned_set_that_is_packed_is_not_unpacked() -> None:
    packed = gzip.compress(b"a\tb\tc\n")
    assert "does not unpack" in refusal(lambda: parse_tsv(packed, "a.tsv"))


def test_a_dump_is_unpacked_as_a_stream_once_and_from_no_archive(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"en.wikipedia Alan_Turing 1208 desktop 57 A57\n"
    twice = gzip.compress(gzip.compress(line))
    assert "does not unpack" in refusal(
        lambda: read_views(str(write("views.gz", twice)), "en.wikipedia")
    )
    for ending in ("zip", "xz", "tar"):
        path = str(write(f"views.{ending}", zipped(line)))
        assert "does not unpack" in refusal(lambda path=path: read_views(path, "en.wikipedia"))
    # A line without an end would be held whole.
    monkeypatch.setattr(page_views, "BLOCK_BYTES", 2**18)
    endless = gzip.compress(b"x" * 2**24)
    assert len(endless) < 20_000
    message = refusal(lambda: read_views(str(write("long.gz", endless)), "en.wikipedia"))
    assert "has a line of more than 1 MiB" in message


@pytest.mark.parametrize("kind", ["csv", "parquet", "gz"])
@pytest.mark.parametrize("place", ["pipe", "device", "loop", "folder", "nul", "nobody"])
def test_what_is_no_ordinary_file_is_refused_at_once(place: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    if place == "pipe":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    elif place in {"device", "loop"}:
        path.symlink_to({"device": "/dev/zero", "loop": path.name}[place])
    location = {"nul": f"{path}\0", "nobody": f"~no-such-user-here/a.{kind}"}.get(place, str(path))
    refusal(lambda: read_bytes(location))
    refusal(lambda: content_key(location))
    refusal(lambda: read_views(location, "en.wikipedia"))
    refusal(lambda: read_items(BenchmarkConfig(name="a", source="files", path=location)))
    if kind == "parquet":
        refusal(lambda: read_parquet(location))


def test_a_file_that_is_too_large_is_said_to_be(
    write: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradpipe.benchmarks.fetch.LARGEST_FILE", 10)
    path = write("a.csv", CSV)
    message = refusal(lambda: read_table(path))
    assert "(larger than the limit of 10 bytes): split it, or leave out what" in message
    url = f"{site.serve(path.parent)}/a.csv"
    assert "is larger than the limit of 10 bytes" in refusal(lambda: read_table(url))
    assert {request.split()[0] for request in site.requests} == {"HEAD"}
