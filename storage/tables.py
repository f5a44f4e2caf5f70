"""Tables: one Parquet file per table, written atomically, with the version of its inputs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl

from gradpipe.errors import DamagedError
from storage.checksums import UNREADABLE, fault_in, sealed_parquet
from storage.filesystem import get, put, set_aside

if TYPE_CHECKING:
    from storage.filesystem import Place

_NOTES = "gradpipe"


@dataclass(frozen=True)
class Notes:
    """Metadata in a table's file: ``version`` of its inputs, ``data`` of its content."""

    version: str
    data: str
    rows: int


class Table:
    """A table at a path. Readers see the old one or the new one, never a part of either."""

    def __init__(self, path: Place) -> None:
        self.path = path

    def notes(self) -> Notes | None:
        """The table's notes, or None where there is no table or it was not written whole."""
        if isinstance(self.path, Path):
            return _notes_in(self.path) if self.path.is_file() else None
        from storage.objects import fetch_footer

        footer = fetch_footer(self.path)
        return _notes_in(footer) if footer else None

    def require_notes(self) -> Notes:
        """The table's notes; raises DamagedError where it is missing or its end is broken."""
        notes = self.notes()
        if notes is None:
            raise self._missing()
        return notes

    def is_current(self, version: str) -> bool:
        """Whether the table was made from just this version of its inputs."""
        notes = self.notes()
        return notes is not None and notes.version == version

    def read(self) -> pl.DataFrame:
        """The whole table; raises DamagedError where it is missing or not as it was written."""
        return self.scan().collect()

    def scan(self) -> pl.LazyFrame:
        """The table, lazily; raises DamagedError where it is missing or not as it was written.

        Its file is read once: a scan of the path would open it again for the data, which may then
        be those of the table that another process has put in its place.
        """
        content = get(self.path)
        if content is None:
            raise self._missing()
        fault = fault_in(content)
        if fault is None and _notes_in(content) is None:
            fault = "is not a table of gradpipe's"
        if fault is not None:
            raise DamagedError({self.path: fault})
        return pl.scan_parquet(content)

    def deferred(self) -> pl.LazyFrame:
        """As ``scan``, but the file is read when the query runs, and let go when it has run.

        For many tables at once, which together are larger than the memory.
        """
        return deferred(self.scan, self.scan().collect_schema())

    def write(self, frame: pl.DataFrame, version: str, data: str | None = None) -> Notes:
        """Put ``frame`` in the table's place at once, with its notes; a broken one is set aside.

        ``data`` names the content where that is known more cheaply than by hashing the rows.
        """
        notes = Notes(version, data or content_of(frame), frame.height)
        if self.notes() is None and (moved := set_aside(self.path)):
            getLogger(__name__).warning("%s was damaged; it is set aside as %s", self.path, moved)
        write_parquet(self.path, frame, {_NOTES: json.dumps(asdict(notes))})
        return notes

    def _missing(self) -> DamagedError:
        return DamagedError({self.path: "is missing"})


def read_notes(tables: Sequence[Table]) -> list[Notes | None]:
    """Every table's notes, in their order; from an object store many at a time."""
    if all(isinstance(table.path, Path) for table in tables):
        return [table.notes() for table in tables]
    from storage.objects import at_once

    return at_once(Table.notes, tables)


def content_of(frame: pl.DataFrame) -> str:
    """A hash of a frame's rows, in their order."""
    return hashlib.sha256(frame.write_ndjson().encode("utf-8", "surrogatepass")).hexdigest()[:20]


def write_parquet(
    place: Place, frame: pl.DataFrame, metadata: dict[str, str] | None = None
) -> None:
    """Put ``frame`` in a place as one sealed Parquet file, whole or not at all.

    Raises WorkspaceError where the place cannot be written or the disk is full.
    """
    put(place, lambda file: file.write(sealed_parquet(frame, metadata)))


def deferred(
    scan: Callable[[], pl.LazyFrame],
    schema: pl.Schema,
    reading: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> pl.LazyFrame:
    """What ``scan`` gives, of a known schema; files are found and read when the query runs.

    Reading runs within the ``reading`` context manager, which may convert errors.
    """
    from polars.io.plugins import register_io_source

    def rows(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        with reading():
            found = scan()
            found = found if predicate is None else found.filter(predicate)
            found = found if columns is None else found.select(columns)
            frame = (found if limit is None else found.head(limit)).collect()
        yield frame

    return register_io_source(rows, schema=schema)


def unique_part_name() -> str:
    """A file name no other writer takes, in the order of writing."""
    return f"part-{time.time_ns():020d}-{os.getpid()}-{uuid4().hex[:8]}.parquet"


def _notes_in(parquet: Path | bytes) -> Notes | None:
    """The notes in a Parquet file, or in its last bytes."""
    try:
        return Notes(**json.loads(pl.read_parquet_metadata(parquet)[_NOTES]))
    except (*UNREADABLE, KeyError, TypeError):
        return None
