"""Tables: one Parquet file per table, written atomically, with the version of its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from logging import getLogger
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from gradpipe.errors import DamagedError
from storage.checksums import UNREADABLE, fault_in, sealed_parquet
from storage.concurrency import map_concurrently
from storage.locations import filesystem_of

if TYPE_CHECKING:
    from storage.filesystem import Location

_NOTES = "gradpipe"


@dataclass(frozen=True)
class Notes:
    """Metadata in a table's file: ``version`` of its inputs, ``data`` of its content."""

    version: str
    data: str
    rows: int


class Table:
    """A table in one file. Readers see the old table or the new one, never a part of either.

    ``optional`` are columns that stand last. They are not written if they are null in every row,
    so that the file is the same as one of an earlier version. Readers get nulls.
    """

    def __init__(self, path: Location, optional: pl.Schema | None = None) -> None:
        self.path = path
        self._optional = optional or pl.Schema()
        self._files = filesystem_of(path)

    def notes(self) -> Notes | None:
        """The table's notes, or None if the table is missing or its end is damaged."""
        footer = self._files.read_footer(self.path)
        return _notes_in(footer) if footer else None

    def require_notes(self) -> Notes:
        """The table's notes; raises DamagedError if it is missing or its end is damaged."""
        notes = self.notes()
        if notes is None:
            raise self._missing()
        return notes

    def is_current(self, version: str) -> bool:
        """Whether the table was made from exactly this version of its inputs."""
        notes = self.notes()
        return notes is not None and notes.version == version

    def written(self) -> float | None:
        """When the file was written, in seconds since 1970; None if it is missing."""
        return self._files.written(self.path)

    def read(self) -> pl.DataFrame:
        """The whole table; raises DamagedError if it is missing or damaged."""
        return self.scan().collect()

    def scan(self) -> pl.LazyFrame:
        """The table, lazily; raises DamagedError if it is missing or damaged.

        The file is read once, now. A scan of the path would open it again for the data, after
        another process may have replaced it.
        """
        content = self._files.read(self.path)
        if content is None:
            raise self._missing()
        fault = fault_in(content)
        if fault is None and _notes_in(content) is None:
            fault = "is not a table that gradpipe wrote"
        if fault is not None:
            raise DamagedError({self.path: fault})
        return self._with_optional(pl.scan_parquet(content))

    def deferred(self) -> pl.LazyFrame:
        """As ``scan``, but the file is read when the query runs, and released afterwards.

        For many tables at once, which together are larger than the memory.
        """
        return deferred(lambda query: query(self.scan()).collect(), self.scan().collect_schema())

    def write(self, frame: pl.DataFrame, version: str, data: str | None = None) -> Notes:
        """Replace the table by ``frame`` with its notes; quarantine a damaged file.

        ``data`` identifies the content; by default it is a hash of the rows.
        """
        empty = [c for c in self._optional if c in frame and not frame[c].count()]
        frame = frame.drop(empty)
        notes = Notes(version, data or content_of(frame), frame.height)
        if self.notes() is None and (moved := self._files.quarantine(self.path)):
            getLogger(__name__).warning("%s was damaged and was moved to %s", self.path, moved)
        content = sealed_parquet(frame, {_NOTES: json.dumps(asdict(notes))})
        self._files.write(self.path, content)
        return notes

    def _with_optional(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        if not self._optional:
            return frame
        there = set(frame.collect_schema())
        return frame.select(
            pl.exclude(list(self._optional)),
            *(
                pl.col(name) if name in there else pl.lit(None, dtype=dtype).alias(name)
                for name, dtype in self._optional.items()
            ),
        )

    def _missing(self) -> DamagedError:
        return DamagedError({self.path: "is missing"})


def read_notes(tables: Sequence[Table]) -> list[Notes | None]:
    """The notes of every table, in their order; many files are read at a time."""
    return list(map_concurrently(Table.notes, tables))


def content_of(frame: pl.DataFrame) -> str:
    """A hash of a frame's rows, in their order."""
    return hashlib.sha256(frame.write_ndjson().encode("utf-8", "surrogatepass")).hexdigest()[:20]


#: A query on the rows of a table or store.
Query = Callable[[pl.LazyFrame], pl.LazyFrame]


def deferred(collect: Callable[[Query], pl.DataFrame], schema: pl.Schema) -> pl.LazyFrame:
    """Rows of a known schema that are read when the query runs.

    ``collect`` reads the rows and returns the result of a query on them.
    """

    def rows(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        def query(frame: pl.LazyFrame) -> pl.LazyFrame:
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if columns is None else frame.select(columns)
            return frame if limit is None else frame.head(limit)

        yield collect(query)

    return register_io_source(rows, schema=schema)


def _notes_in(parquet: bytes) -> Notes | None:
    """The notes in a Parquet file, or in its last bytes; None if it has no notes."""
    try:
        return Notes(**json.loads(pl.read_parquet_metadata(parquet)[_NOTES]))
    except (*UNREADABLE, KeyError, TypeError):
        return None
