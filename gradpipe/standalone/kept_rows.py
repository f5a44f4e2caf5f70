"""Finished rows, kept by their keys between two runs of a command.

A command works on one chunk of its data after another. The rows of a chunk are kept in one segment,
which is named by the chunk's first row; so a chunk is read again without looking through the rows
of all others. A row that an earlier run kept in another segment, because the data had other rows
before it, is copied.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import polars as pl

from gradpipe.gradients.rows import ROW_SCHEMA

#: Computed rows are kept after at most this time, or if they have this many bytes.
KEEP_SECONDS, KEEP_BYTES = 10.0, 32 << 20
#: Files that are read at a time.
_PARTS = 4
KEPT_SPECTRA = pl.Schema(
    {"key": pl.String()} | {name: kind for name, kind in ROW_SCHEMA.items() if name != "row"}
)


class RowSegment(Protocol):
    """The kept rows of one chunk: a row store."""

    def append(self, rows: pl.DataFrame) -> None:
        """Keep rows; they are safe when this returns."""

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that are not kept."""

    def keys(self) -> pl.Series:
        """The keys of all kept rows."""

    def chunks(self, keys: pl.Series, parts: int) -> Iterator[pl.DataFrame]:
        """The rows with one of ``keys``, each once."""

    def compact(self) -> int:
        """Merge small files."""


class KeptRows(Protocol):
    """Where a command keeps rows: segments by kind of row and name."""

    def segment(self, kind: str, name: str, schema: pl.Schema) -> RowSegment:
        """The segment of that name, which may not exist yet."""

    def names(self, kind: str) -> list[str]:
        """The names of the segments of a kind that exist."""


class NothingKept:
    """Keeps the rows of the last chunk only, in memory."""

    def __init__(self) -> None:
        self._segments: dict[str, tuple[str, _RowsInMemory]] = {}

    def segment(self, kind: str, name: str, schema: pl.Schema) -> RowSegment:
        """The segment of the present chunk."""
        if self._segments.get(kind, ("", None))[0] != name:
            self._segments[kind] = name, _RowsInMemory(schema)
        return self._segments[kind][1]

    def names(self, kind: str) -> list[str]:
        """None: earlier chunks are forgotten."""
        del kind
        return []


class _RowsInMemory:
    def __init__(self, schema: pl.Schema) -> None:
        self._rows = schema.to_frame()

    def append(self, rows: pl.DataFrame) -> None:
        self._rows = pl.concat([self._rows, rows.select(self._rows.columns)])

    def missing(self, keys: Iterable[str]) -> list[str]:
        kept = set(self._rows["key"])
        return [key for key in dict.fromkeys(keys) if key not in kept]

    def keys(self) -> pl.Series:
        return self._rows["key"]

    def chunks(self, keys: pl.Series, parts: int) -> Iterator[pl.DataFrame]:
        del parts
        rows = self._rows.filter(pl.col("key").is_in(keys.implode()))
        if rows.height:
            yield rows.unique("key", keep="first", maintain_order=True)

    def compact(self) -> int:
        return 0


class RowKeeper:
    """Keeps rows of one kind, chunk by chunk."""

    def __init__(self, kept: KeptRows, kind: str, schema: pl.Schema) -> None:
        self._kept = kept
        self._kind = kind
        self._schema = schema
        #: The names of the segments before this run, and the keys in them once they are needed.
        self._earlier = kept.names(kind)
        self._places: pl.DataFrame | None = None

    def segment(self, first_row: int) -> RowSegment:
        """The segment of the chunk that begins with this row of the data."""
        return self._segment(_name(first_row))

    def missing(self, first_row: int, keys: Sequence[str]) -> list[str]:
        """Those of a chunk's ``keys`` that are kept nowhere."""
        missing = self.segment(first_row).missing(keys)
        if missing and self._earlier:
            elsewhere = set(self._found(missing)["key"])
            missing = [key for key in missing if key not in elsewhere]
        return missing

    def gather(self, first_row: int, keys: Sequence[str]) -> list[str]:
        """Copy a chunk's rows from other segments to its own; return the keys still missing."""
        segment = self.segment(first_row)
        missing = segment.missing(keys)
        if not missing or not self._earlier:
            return missing
        found = self._found(missing)
        for (name,), rows in found.group_by("segment"):
            for frame in self._segment(str(name)).chunks(rows["key"], _PARTS):
                segment.append(frame)
        return segment.missing(missing) if found.height else missing

    def rows(self, first_row: int, keys: Sequence[str]) -> pl.DataFrame:
        """A chunk's rows, one per key, in the order of ``keys``."""
        wanted = pl.DataFrame({"key": list(keys)}, {"key": pl.String})
        frames = list(self.segment(first_row).chunks(wanted["key"], _PARTS))
        rows = pl.concat([self._schema.to_frame(), *frames])
        return wanted.join(rows, on="key", how="left", maintain_order="left")

    def keep(self, first_row: int, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield each frame; keep several at a time, and the last ones even if it is stopped."""
        segment = self.segment(first_row)
        held: list[pl.DataFrame] = []
        since, size = time.monotonic(), 0
        try:
            for frame in frames:
                held.append(frame.select(list(self._schema)))
                size += int(frame.estimated_size())
                if time.monotonic() - since >= KEEP_SECONDS or size >= KEEP_BYTES:
                    rows, held = held, []
                    segment.append(pl.concat(rows))
                    since, size = time.monotonic(), 0
                yield frame
        finally:
            if held:
                segment.append(pl.concat(held))
        segment.compact()

    def _found(self, keys: Sequence[str]) -> pl.DataFrame:
        """Which of ``keys`` earlier runs kept: ``key`` and ``segment``."""
        if self._places is None:
            tables = [
                pl.DataFrame({"key": self._segment(name).keys()}, {"key": pl.String}).with_columns(
                    segment=pl.lit(name)
                )
                for name in self._earlier
            ]
            self._places = pl.concat(tables).unique("key", keep="first")
        return self._places.filter(pl.col("key").is_in(list(keys)))

    def _segment(self, name: str) -> RowSegment:
        return self._kept.segment(self._kind, name, self._schema)


def _name(first_row: int) -> str:
    return f"{first_row:012d}"
