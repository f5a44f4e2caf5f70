"""Arrow files that mean harm: refused in a sentence before they fill the memory."""

import io
import struct
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from gradpipe.benchmarks.table_files import parse_table
from gradpipe.errors import DataError
from gradpipe.untrusted import limits
from gradpipe.untrusted.arrow_messages import check_arrow

SOUND = pa.table({"instruction": ["a", "b" * 20], "none": ["1", None], "n": [[1], None]})


def written(table: pa.Table, form: str, compression: str | None = None) -> bytes:
    buffer = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=compression)
    writer = {"file": ipc.new_file, "stream": ipc.new_stream}[form]
    with writer(buffer, table.schema, options=options) as file:
        file.write_table(table)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize(
    ("column", "compression"),
    [
        (pa.array([0.0] * 300_000), "zstd"),
        (pa.array([0.0] * 300_000), "lz4"),
        (pa.array(["x" * 3_000_000]), "zstd"),
        (pa.array([{"deep": {"er": "x" * 3_000_000}}]), "zstd"),
        (pa.array(["x" * 3_000_000]).dictionary_encode(), "zstd"),
        (pa.nulls(300_000), None),
    ],
    ids=["zeros", "lz4", "text", "inside a structure", "dictionary", "nulls"],
)
def test_a_file_that_unpacks_to_too_much_is_not_unpacked(
    column: Any, compression: str | None, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(pa.table({"instruction": column}), form, compression)
    assert len(data) < 20_000
    assert parse_table(data, "a.arrow").height == len(column)
    monkeypatch.setattr(limits, "LARGEST_TABLE", 2**20)

    def no_reader(*_: Any, **__: Any) -> None:
        pytest.fail("it was read")

    monkeypatch.setattr(ipc, "open_file", no_reader)
    monkeypatch.setattr(ipc, "open_stream", no_reader)
    with pytest.raises(DataError, match=r"a.arrow unpacks to 2\..* above the limit of 1 MiB"):
        parse_table(data, "a.arrow")


@pytest.mark.parametrize("form", ["file", "stream"])
def test_a_size_that_a_buffer_only_claims_is_not_allocated(form: str) -> None:
    data = written(pa.table({"instruction": pa.array([0.0] * 3000)}), form, "zstd")
    claimed = data.replace(struct.pack("<q", 24_000), struct.pack("<q", 2**45))
    assert claimed != data
    with pytest.raises(DataError, match="unpacks to 32,?768 GiB|unpacks to 32 TiB"):
        parse_table(claimed, "a.arrow")
    below_zero = data.replace(struct.pack("<q", 24_000), struct.pack("<q", -7))
    with pytest.raises(DataError, match="a size below zero"):
        parse_table(below_zero, "a.arrow")


def test_a_text_that_many_rows_share_is_counted_for_each_of_them() -> None:
    indices = pa.array([0] * 10_000, pa.int32())
    shared = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000_000]))
    view = struct.pack("<i4sii", 1_000_000, b"xxxx", 0, 0)
    views = pa.Array.from_buffers(
        pa.string_view(),
        10_000,
        [None, *map(pa.py_buffer, (view * 10_000, b"x" * 1_000_000))],
    )
    for column in (shared, views):
        data = written(pa.table({"instruction": column}), "stream")
        assert len(data) < 2_000_000
        with pytest.raises(DataError, match=r"unpacks to 9\.31\d* GiB or more"):
            parse_table(data, "a.arrow")


@pytest.mark.parametrize(
    "column",
    [pa.array([[1]], pa.list_view(pa.int64())), pa.RunEndEncodedArray.from_arrays([3], ["x"])],
)
def test_a_type_that_polars_does_not_have_is_refused(column: Any) -> None:
    with pytest.raises(DataError, match="a.arrow is not well-formed ARROW"):
        parse_table(written(pa.table({"a": column}), "stream"), "a.arrow")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"ARROW1", "does not end as an Arrow file does"),
        (b"ARROW1\0\0" + b"\xff" * 4 + b"ARROW1", "its footer has no valid size"),
        (b"ARROW1\0\0" + b"\xff" * 8 + b"\x08\0\0\0ARROW1", "ends too early"),
        (b"FEA1 or not", "not well-formed FEATHER"),
        (b"not Arrow at all", "not well-formed FEATHER"),
    ],
)
def test_what_is_no_arrow_file_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        parse_table(data, "a.feather")


def test_the_sizes_of_sound_files_are_within_the_limit() -> None:
    for form in ("file", "stream"):
        for compression in (None, "lz4", "zstd"):
            check_arrow(written(SOUND, form, compression), "a.arrow")
    buffer = io.BytesIO()
    pl.DataFrame({"a": ["x" * 30, None], "b": [1, 2]}).write_ipc(buffer, compression="lz4")
    check_arrow(buffer.getvalue(), "a.arrow")


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("form", ["file", "stream"])
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=3),
    st.integers(0, 3000),
)
@example([], 0)
def test_a_damaged_file_is_a_table_or_refused(
    form: str, compression: str | None, changes: list[tuple[int, int]], cut: int
) -> None:
    sound = written(SOUND, form, compression)
    damaged = bytearray(sound)
    for place, byte in changes:
        damaged[place % len(sound)] = byte
    for data in (bytes(damaged), bytes(damaged[: cut % len(sound)])):
        try:
            table = parse_table(data, "a.arrow")
        except DataError:
            continue
        assert table.height
