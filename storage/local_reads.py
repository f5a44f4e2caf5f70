"""Read some columns of local Parquet files, after their checksums are verified."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.io.plugins import register_io_source

from gradpipe.errors import DamagedError
from storage.checksums import fault_in, fault_of_schema
from storage.column_checksums import ColumnChecksum, part_seal, schema_digest
from storage.concurrency import map_concurrently

#: The last bytes of a file, read at once: its footer.
_TAIL_BYTES = 1 << 14


def scan_files(files: Mapping[Path, int], schema: pl.Schema, whole: set[Path]) -> pl.LazyFrame:
    """The rows of Parquet files, lazily, in the order of the files; missing columns are null.

    When the query runs, the footers and the query's columns are verified, because Polars may end
    the process when it reads invalid bytes; then Polars reads them. Files without checksums of
    their columns are verified whole, unless they are in ``whole``, where they are added. The query
    raises FileNotFoundError if a file was deleted, and DamagedError if one has changed.
    """

    def rows(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        selected = list(schema) if columns is None else columns
        filtered = [] if predicate is None else predicate.meta.root_names()
        _verify(files, [name for name in schema if name in {*selected, *filtered}], schema, whole)
        # Without `glob=False` a workspace below a folder like `runs[1]` would read as empty.
        frame = pl.scan_parquet(
            list(files),
            schema=schema,
            glob=False,
            missing_columns="insert",
            cast_options=pl.ScanCastOptions(missing_struct_fields="insert"),
        )
        frame = frame if predicate is None else frame.filter(predicate)
        frame = frame.select(selected)
        yield (frame if limit is None else frame.head(limit)).collect()

    return register_io_source(rows, schema=schema)


def _verify(
    files: Mapping[Path, int], columns: Sequence[str], schema: pl.Schema, whole: set[Path]
) -> None:
    """Raise DamagedError with every file that has damage in some of its columns."""
    known = schema_digest(schema)

    def fault(file: Path) -> str | None:
        return _fault(file, columns, schema, known)

    left = [file for file in files if file not in whole]
    faults = dict(zip(left, map_concurrently(fault, left), strict=True))
    whole.update(file for file, reason in faults.items() if reason == "")
    damage = {file: reason for file, reason in faults.items() if reason}
    if damage:
        raise DamagedError(damage)


def _fault(path: Path, columns: Sequence[str], schema: pl.Schema, known: str) -> str | None:
    """Return what is wrong with some columns of a file, "" if it is intact as a whole, or None.

    None if these columns are intact, or if the file is missing, which Polars will say.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        end = _footer_of(file)
        seal = part_seal(end)
        if seal is not None:
            if seal.schema != known and (reason := fault_of_schema(end, schema)):
                return reason
            if all(_intact(file, *read) for read in seal.ranges(columns)):
                return None
        file.seek(0)
        return fault_in(file.read(), schema) or ""
    return None


def _footer_of(file: BinaryIO) -> bytes:
    """The last bytes of a file with its whole footer, if it has one."""
    size = file.seek(0, os.SEEK_END)
    tail = _bytes_of(file, max(size - _TAIL_BYTES, 0), size)
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    return tail if footer <= len(tail) else _bytes_of(file, max(size - footer, 0), size)


def _intact(file: BinaryIO, start: int, end: int, columns: list[ColumnChecksum]) -> bool:
    content = _bytes_of(file, start, end)
    return all(column.covers(content, start) for column in columns)


def _bytes_of(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
