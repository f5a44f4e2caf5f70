"""Large Parquet and Arrow files, a batch at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import DataError
from gradpipe.tables.arrow_rows import frame_of_arrow
from gradpipe.tables.json_rows import decode_json_columns
from gradpipe.tables.parts import TablePart, well_formed
from gradpipe.tables.streams import TableStream
from gradpipe.untrusted.arrow_messages import FILE_MAGIC, check_arrow_messages
from gradpipe.untrusted.limits import check_parquet_groups, refuse_large
from gradpipe.untrusted.shared_texts import shared_size, without_views

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnFiles(TableStream):
    """Parquet or Arrow files with the columns of the first, whose schema all rows get."""

    def __init__(self, name: str, extension: str, files: Sequence[Path]) -> None:
        super().__init__(name, extension)
        self._files = files

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of the files' columns."""
        for table in self.tables(rows):
            with well_formed(TablePart(self.name, self.extension, b"")):
                frame = decode_json_columns(frame_of_arrow(table))
            yield frame

    def tables(self, rows: int) -> Iterator[pa.Table]:
        """The rows as pyarrow tables of at most ``rows`` rows, with the first file's metadata."""
        first: pa.Schema | None = None
        for path in self._files:
            with well_formed(TablePart(str(path), self.extension, b"")):
                for table in _tables(path, self.extension, rows):
                    first = first or table.schema
                    yield _as_first(table, first, self._files[0], path)

    def schema(self) -> pa.Schema:
        """The schema of the first file, with its metadata."""
        return next(self.tables(1)).schema

    def rows(self) -> int:
        """The number of rows of all files."""
        if self.extension == ".parquet":
            from pyarrow import parquet

            return sum(parquet.read_metadata(file).num_rows for file in self._files)
        return sum(table.num_rows for table in self.tables(2**16))

    def size(self) -> int:
        """The bytes of all files, which may be compressed."""
        packed = 4 if self.extension == ".parquet" else 1
        return packed * sum(file.stat().st_size for file in self._files)

    @property
    def as_file(self) -> bool:
        """Whether the first file has the Arrow file format, not that of streams."""
        with self._files[0].open("rb") as file:
            return file.read(len(FILE_MAGIC)) == FILE_MAGIC


def _as_first(table: pa.Table, first: pa.Schema, one: Path, other: Path) -> pa.Table:
    """A table with the columns and types of the first file."""
    if sorted(table.column_names) != sorted(first.names):
        raise DataError(
            f"{one} and {other} are not parts of one table (their columns differ): give files "
            "with the same columns."
        )
    return table.select(first.names).cast(first)


def _tables(path: Path, extension: str, rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    batches = _parquet_batches(path, rows) if extension == ".parquet" else _arrow_batches(path)
    for batch in batches:
        table = pa.Table.from_batches([batch])
        refuse_large(shared_size(table), str(path))
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows)


def _parquet_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import parquet

    with path.open("rb") as content:
        check_parquet_groups(content, str(path))
        content.seek(0)
        # Pages are decoded one after another: a file may have one row group for all rows.
        file = parquet.ParquetFile(content, buffer_size=2**20, pre_buffer=False)
        for batch in file.iter_batches(rows, use_threads=False):
            yield pa.RecordBatch.from_arrays(batch.columns, schema=file.schema_arrow)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import ipc

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        as_file = content[: len(FILE_MAGIC)] == FILE_MAGIC
        check_arrow_messages(memoryview(content), str(path))
    with pa.memory_map(str(path)) as source:
        if as_file:
            reader = ipc.open_file(source)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = iter(ipc.open_stream(source))
        for batch in batches:
            # Without it, a damaged file's offsets would be followed out of its memory.
            batch.validate(full=True)
            yield from without_views(pa.Table.from_batches([batch])).to_batches()
