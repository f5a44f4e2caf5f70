"""Read objects of an object store: whole, a range of bytes, or some columns of Parquet files."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source
from pyarrow import parquet

from gradpipe.errors import DamagedError
from storage.column_checksums import part_seal
from storage.concurrency import map_concurrently
from storage.store_errors import as_workspace_error

if TYPE_CHECKING:
    from upath import UPath

#: The last bytes of a Parquet file, fetched in one request: its footer, and small files whole.
TAIL_BYTES = 1 << 16


def fetch(address: UPath, start: int = 0, end: int | None = None) -> bytes | None:
    """The bytes of an object from ``start`` (negative: from its end) to ``end``.

    One request, since two could see two versions of the object. None if the object is missing.
    Raises WorkspaceError if the store refuses or does not answer.
    """
    try:
        with as_workspace_error(address, "read"):
            return _bytes(address, start, end)
    except FileNotFoundError:
        return None


def fetch_footer(address: UPath) -> bytes | None:
    """The last bytes of a Parquet file with its whole footer, or None if it is missing."""
    tail = fetch(address, -TAIL_BYTES)
    if tail is None:
        return None
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    return fetch(address, -footer) if len(tail) == TAIL_BYTES < footer else tail


def scan_objects(files: Mapping[UPath, int], schema: pl.Schema) -> pl.LazyFrame:
    """The rows of Parquet files, lazily, in the order of the files; missing columns are null.

    ``files`` maps each file to its bytes. When the query runs, the footer and the query's columns
    of each file are fetched, many files at a time. The query raises FileNotFoundError if a file was
    deleted, DamagedError if a column has changed or cannot be decoded, and WorkspaceError if the
    store fails.
    """

    def rows(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        selected = list(schema) if columns is None else columns
        filtered = [] if predicate is None else predicate.meta.root_names()
        needed = pl.Schema({n: schema[n] for n in schema if n in {*selected, *filtered}})

        def read(address: UPath) -> pl.DataFrame:
            frame = _read_columns(address, files[address], needed)
            return (frame if predicate is None else frame.filter(predicate)).select(selected)

        left = limit
        for frame in map_concurrently(read, files):
            yield frame if left is None else frame.head(left)
            left = None if left is None else max(left - frame.height, 0)

    return register_io_source(rows, schema=schema)


def _bytes(address: UPath, start: int, end: int | None) -> bytes:
    try:
        data: bytes = address.fs.cat_file(address.path, start=start, end=end)
    except OSError as error:
        if "not satisfiable" in str(error):
            return b""
        raise
    return data


def _read_columns(address: UPath, size: int, schema: pl.Schema) -> pl.DataFrame:
    try:
        content = _ObjectFile(address, size)
        sealed = content.fetch_verified(list(schema))
        # What is verified is in memory already.
        file = parquet.ParquetFile(content, pre_buffer=not sealed)
        table = file.read(columns=list(schema), use_threads=False)
        frame = pl.DataFrame(pl.from_arrow(table))
        return frame.match_to_schema(
            schema, missing_columns="insert", missing_struct_fields="insert"
        )
    except FileNotFoundError:
        raise
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DamagedError({address: f"cannot be read: {reason}"}) from error


class _ObjectFile(io.RawIOBase):
    """An object as a seekable file: its end is fetched at once, other ranges on demand.

    fsspec's own files do not replace it. They ask the store for the size, which the listing has
    given: measured with s3fs, a column takes one or two requests here, two or three through
    ``fs.open``, and three or four through ``fsspec.parquet.open_parquet_file``. They also raise
    OSError if the store fails, as pyarrow does for invalid bytes, so that an unreachable store
    would look like damage.

    Raises FileNotFoundError if the object is missing.
    """

    def __init__(self, address: UPath, size: int) -> None:
        self._address, self._size, self._at = address, size, 0
        self._tail_at = max(size - TAIL_BYTES, 0)
        self._parts = {self._tail_at: self._fetch(self._tail_at, size) if size else b""}

    def fetch_verified(self, columns: list[str]) -> bool:
        """Fetch some columns and verify them by their checksums; False if the file has none.

        Raises DamagedError if one of them has changed since it was written.
        """
        seal = part_seal(self._parts[self._tail_at])
        if seal is None:
            return False
        for start, end, group in seal.ranges(columns):
            content = self._cached(start, end)
            if content is None:
                content = self._parts[start] = self._fetch(start, end)
            if not all(column.covers(content, start) for column in group):
                raise DamagedError({self._address: "has changed since it was written"})
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, origin: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[origin]
        self._at = start + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        start = self._at
        self._at = self._size if count < 0 else min(start + count, self._size)
        if start >= self._at:
            return b""
        content = self._cached(start, self._at)
        return self._fetch(start, self._at) if content is None else content

    def _cached(self, start: int, end: int) -> bytes | None:
        """Bytes that were fetched before, or None."""
        for first, content in self._parts.items():
            if first <= start and end <= first + len(content):
                return content[start - first : end - first]
        return None

    def _fetch(self, start: int, end: int) -> bytes:
        data = fetch(self._address, start, end)
        if data is None:
            raise FileNotFoundError(
                errno.ENOENT, "It was deleted while it was read", str(self._address)
            )
        return data
