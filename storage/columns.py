"""Read only the columns that a query needs from many Parquet files in an object store."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import DamagedError, WorkspaceError
from storage.objects import AT_ONCE, TAIL_BYTES, fetch

if TYPE_CHECKING:
    from upath import UPath


def scan_objects(files: Mapping[UPath, int], schema: pl.Schema) -> pl.LazyFrame:
    """The rows of files of one schema, lazily, in the order of the files, given with their bytes.

    Columns that are missing from a file are null.

    When the query runs, the footer and the query's columns of each file are fetched, many files at
    a time; it raises WorkspaceError if a file is missing, DamagedError if it has changed.
    """
    from polars.io.plugins import register_io_source

    def rows(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        asked = list(schema) if columns is None else columns
        tested = [] if predicate is None else predicate.meta.root_names()
        needed = [name for name in schema if name in {*asked, *tested}]

        def read(address: UPath) -> pl.DataFrame:
            frame = _read(address, files[address], pl.Schema({n: schema[n] for n in needed}))
            return (frame if predicate is None else frame.filter(predicate)).select(asked)

        left = limit
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for frame in pool.map(read, files):
                yield frame if left is None else frame.head(left)
                left = None if left is None else max(left - frame.height, 0)

    return register_io_source(rows, schema=schema)


def _read(address: UPath, size: int, schema: pl.Schema) -> pl.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(_File(address, size), pre_buffer=True)
        table = file.read(columns=list(schema), use_threads=False)
        frame = pl.DataFrame(pl.from_arrow(table))
        return frame.match_to_schema(
            schema, missing_columns="insert", missing_struct_fields="insert"
        )
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DamagedError({address: f"cannot be read: {reason}"}) from error


class _File(io.RawIOBase):
    """An object as a file to read at random: its end is fetched at once, the rest when asked for.

    Raises WorkspaceError where the object is gone.
    """

    def __init__(self, address: UPath, size: int) -> None:
        self._address, self._size, self._at = address, size, 0
        self._tail_at = max(size - TAIL_BYTES, 0)
        self._tail = self._fetch(self._tail_at, size) if size else b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        start = self._at
        self._at = self._size if count < 0 else min(start + count, self._size)
        if start >= self._at:
            return b""
        if start >= self._tail_at:
            return self._tail[start - self._tail_at : self._at - self._tail_at]
        return self._fetch(start, self._at)

    def _fetch(self, start: int, end: int) -> bytes:
        data = fetch(self._address, start, end)
        if data is None:
            raise WorkspaceError(
                f"{self._address} was deleted while it was read: run the command again."
            )
        return data
