"""Write a large table again in another order, with little memory: a bucket sort on the disk.

Each row goes to a bucket, which is a file, by its place in the new order. One bucket at a time is
then sorted in memory and written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc, parquet

from gradpipe.standalone.output_file import write_atomically
from gradpipe.system.atomic_files import aside_path
from gradpipe.tables.arrow_rows import with_index_column, with_more_columns
from gradpipe.tables.column_streams import ColumnFiles
from gradpipe.tables.line_streams import JsonLines, SeparatedLines
from gradpipe.untrusted.compressed import compressed_file

#: Bytes of a bucket, and the most buckets.
BUCKET_BYTES, MOST_BUCKETS = 8 << 20, 512
#: Rows that are read and handed out at a time.
_ROWS = 2**13
#: The columns of a bucket beside those of the data: a row's place, and a line of JSON.
_PLACE, _LINE = "gradpipe.place", "gradpipe.line"

Streamed = JsonLines | SeparatedLines | ColumnFiles


def rewrite_stream(
    stream: Streamed, order: NDArray[np.int64], columns: pl.DataFrame, out: Path
) -> None:
    """Write the rows that ``order`` lists to ``out``, in order, as ``rewrite_rows`` does.

    ``columns``, one row per entry of ``order``, is added. Raises DataError.
    """
    write_atomically(out, lambda path: _rewrite(stream, order, columns, (out, path)))


def _rewrite(
    stream: Streamed,
    order: NDArray[np.int64],
    columns: pl.DataFrame,
    target: tuple[Path, Path],
) -> None:
    out, path = target
    count = min(MOST_BUCKETS, max(1, -(-stream.size() // BUCKET_BYTES)))
    folder = aside_path(out)
    folder.mkdir()
    try:
        _fill_buckets(stream, order, folder, count)
        with _writer(stream, path, out.suffix.lower()) as write:
            for rows in _sorted_buckets(folder, count):
                places = rows[_PLACE].to_numpy()
                write(rows.drop_columns([_PLACE]), columns[int(places[0]) : int(places[-1]) + 1])
            if not len(order):
                write(next(_raw_rows(stream)).slice(0, 0), columns)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill_buckets(stream: Streamed, order: NDArray[np.int64], folder: Path, count: int) -> None:
    """Write each row that ``order`` lists to the bucket of its place."""
    places = np.full(int(order.max(initial=-1)) + 1, -1, np.int64)
    places[order] = np.arange(len(order))
    passed = 0
    with ExitStack() as stack:
        writers: dict[int, ipc.RecordBatchStreamWriter] = {}
        for rows in _raw_rows(stream):
            own = places[passed : passed + rows.num_rows]
            own = np.concatenate([own, np.full(rows.num_rows - len(own), -1, np.int64)])
            passed += rows.num_rows
            placed = rows.append_column(_PLACE, pa.array(own))
            buckets = np.where(own < 0, -1, own * count // max(len(order), 1))
            for bucket in np.unique(buckets[buckets >= 0]).tolist():
                some = placed.filter(pa.array(buckets == bucket))
                if bucket not in writers:
                    file = stack.enter_context(pa.OSFile(str(folder / str(bucket)), "wb"))
                    writers[bucket] = stack.enter_context(ipc.new_stream(file, some.schema))
                writers[bucket].write_table(some)


def _sorted_buckets(folder: Path, count: int) -> Iterator[pa.Table]:
    for bucket in range(count):
        path = folder / str(bucket)
        if path.is_file():
            with pa.OSFile(str(path), "rb") as file:
                yield ipc.open_stream(file).read_all().sort_by(_PLACE)
            path.unlink()


def _raw_rows(stream: Streamed) -> Iterator[pa.Table]:
    """The rows without loss: columns as they are in the file, or lines of JSON."""
    if isinstance(stream, JsonLines):
        for lines in stream.lines(_ROWS):
            yield pa.table({_LINE: pa.array(lines, pa.large_binary())})
    elif isinstance(stream, SeparatedLines):
        for frame in stream.batches(_ROWS):
            yield frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    else:
        count, passed = stream.rows(), 0
        for table in stream.tables(_ROWS):
            yield with_index_column(table, passed, count)
            passed += table.num_rows


@contextmanager
def _writer(stream: Streamed, path: Path, ending: str) -> Iterator[Any]:
    """A function that writes raw rows with their added columns."""
    if isinstance(stream, ColumnFiles):
        with _ColumnWriter(path, packed=stream.extension == ".parquet", as_file=stream.as_file) as (
            columns
        ):
            yield columns.write
        return
    with compressed_file(path, ending) as file:
        if isinstance(stream, JsonLines):
            yield lambda rows, more: _write_lines(file, rows, more)
        else:
            yield _SeparatedWriter(file, stream.separator).write


def _write_lines(file: IO[bytes], rows: pa.Table, columns: pl.DataFrame) -> None:
    lines = rows[_LINE].to_pylist()
    for line, more in zip(lines, columns.iter_rows(named=True), strict=True):
        row = {**json.loads(line), **more}
        file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


class _SeparatedWriter:
    """Writes CSV, with the header first."""

    def __init__(self, file: IO[bytes], separator: str) -> None:
        self._file = file
        self._separator = separator
        self._header = True

    def write(self, rows: pa.Table, columns: pl.DataFrame) -> None:
        """Write rows."""
        table = pl.DataFrame(pl.from_arrow(rows)).hstack(columns)
        text = table.write_csv(separator=self._separator, include_header=self._header)
        self._file.write(text.encode())
        self._header = False


class _ColumnWriter:
    """Writes Parquet, or Arrow in either format."""

    def __init__(self, path: Path, *, packed: bool, as_file: bool) -> None:
        self._path = path
        self._packed = packed
        self._as_file = as_file
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> _ColumnWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: pa.Table, columns: pl.DataFrame) -> None:
        """Write rows."""
        # A file in the Arrow format has one dictionary per column for all of its batches.
        table = _without_dictionaries(with_more_columns(rows, columns), keep=self._packed)
        if self._writer is None:
            self._schema = table.schema
            self._writer = self._open(table.schema)
        self._writer.write_table(table.cast(self._schema))

    def _open(self, schema: pa.Schema) -> Any:
        if self._packed:
            return parquet.ParquetWriter(self._path, schema, compression="zstd")
        return (ipc.new_file if self._as_file else ipc.new_stream)(str(self._path), schema)


def _without_dictionaries(table: pa.Table, *, keep: bool) -> pa.Table:
    if keep:
        return table
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = field.with_type(field.type.value_type)
            table = table.set_column(number, plain, table[number].cast(plain.type))
    return table
