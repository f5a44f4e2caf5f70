"""The row store: content-keyed rows in append-only Parquet parts.

A row in the store is never recomputed. Parts are written atomically, so any number of processes may
write and read at once. If two processes compute the same row, both copies stay in the store, and
reads return the first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import DamagedError, WorkspaceError
from storage.checksums import UNREADABLE, fault_in, read_part
from storage.column_checksums import part_seal, sealed_part
from storage.concurrency import map_concurrently
from storage.locations import filesystem_of
from storage.parts import (
    PART_PATTERN,
    large_parts,
    merged_part_name,
    parts_at_once,
    parts_to_merge,
    unique_part_name,
)
from storage.tables import Query, deferred

if TYPE_CHECKING:
    from storage.filesystem import Location

KEY = "key"
#: The bytes of a part, or None if the part is missing.
_Content = bytes | None
#: Seconds before each retry of a read that met a deleted part: a merge deletes several in a row.
_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)


class RowStore:
    """Rows of one schema in one folder; ``schema`` has a String column ``key``.

    Columns and fields added after a part was written are read as null.
    Reading raises DamagedError if what it reads has changed since it was written: a query verifies
    its own columns, ``chunks`` whole parts. Parts of earlier versions, without checksums of their
    columns, are verified whole before Polars reads them; from an object store only by ``chunks``.
    If another process deletes a part during a read, because it merged or rewrote it, the parts are
    listed again and the read is retried a few times.
    """

    def __init__(self, folder: Location, schema: pl.Schema) -> None:
        self.folder = folder
        self.schema = schema
        self._files = filesystem_of(folder)
        #: Local parts that were verified whole, for parts without checksums of their columns.
        self._verified: set[Location] = set()

    def parts(self) -> list[Location]:
        """The parts, oldest first."""
        return list(self._sizes())

    def bytes(self) -> int:
        """The size of all parts together."""
        return sum(self._sizes().values())

    def damage(self) -> dict[Location, str]:
        """Return the damaged parts and what is wrong with each; reads every part."""
        return self._damage(self.parts())

    def append(self, rows: pl.DataFrame) -> None:
        """Add rows as one part; every reader sees them when this returns."""
        if rows.height:
            frame = rows.select(list(self.schema)).cast(self.schema)
            self._files.write(self.folder / unique_part_name(), sealed_part(frame))

    def discard(self, unwanted: pl.Expr) -> int:
        """Delete the rows for which an expression is true; return their number.

        An affected part is rewritten without them before it is deleted, so an interruption loses
        nothing. The caller holds the lock of the rows: a merge at the same time could keep them.
        """
        discarded = 0
        for part, size in self._sizes().items():
            try:
                with self._naming_damage():
                    rows = self._scan({part: size})
                    count = rows.filter(unwanted).select(pl.len()).collect().item()
                    wanted = ~unwanted.fill_null(value=False)
                    kept = rows.filter(wanted).collect() if count else None
            except FileNotFoundError as error:
                raise WorkspaceError(
                    f"{part} was deleted while it was read: run the command again."
                ) from error
            if kept is not None:
                self.append(kept)
                self._files.delete(part)
                discarded += count
        return discarded

    def compact(self) -> int:
        """Merge runs of adjacent small parts; return how many parts were replaced.

        Large local parts of earlier versions are rewritten with checksums of their columns. The
        first row of each key is kept, in the order that reads return. A merged part is written
        and read back before the parts that it replaces are deleted, so an interruption loses
        nothing and leaves rows twice at worst. Other processes may append and read meanwhile; the
        caller holds the lock of the rows, so that no two processes merge the same parts.
        Raises DamagedError if one of the parts is damaged.
        """
        replaced = 0
        sizes = self._sizes()
        for group in [*parts_to_merge(sizes), *self._to_rewrite(sizes)]:
            try:
                rows = self._read_whole(group)
                merged = self._without_repetitions(rows, group[0])
            except FileNotFoundError:
                # A process on another machine merges these parts.
                continue
            # The part that has the repeated rows may have the time of the first one in its name.
            place = group[0] if merged.height == rows.height else group[-1]
            if merged.height:
                self._write_checked(self.folder / merged_part_name(place.name), merged)
            replaced += len(list(map_concurrently(self._files.delete, group)))
        return replaced

    def _to_rewrite(self, sizes: Mapping[Location, int]) -> Iterator[list[Location]]:
        """Large local parts of earlier versions, which have no checksums of their columns."""
        for part in large_parts(sizes):
            if self._files.local_path(part) is not None:
                footer = self._files.read_footer(part)
                if footer is not None and part_seal(footer) is None:
                    yield [part]

    def _without_repetitions(self, rows: pl.DataFrame, first: Location) -> pl.DataFrame:
        """Rows of parts from ``first`` on, without those whose key an earlier part has.

        There are such rows after a merge that was interrupted before it deleted its parts.
        """
        earlier = {part: size for part, size in self._sizes().items() if part.name < first.name}
        keys = self._scan(earlier).select(KEY).collect().to_series()
        return _only(rows, ~rows[KEY].is_in(keys.implode()))

    def _write_checked(self, target: Location, rows: pl.DataFrame) -> None:
        """Write a part and read it back; raises WorkspaceError if it differs."""
        content = sealed_part(rows)
        self._files.write(target, content)
        back = self._files.read(target)
        if back != content or not read_part(content, self.schema).equals(rows):
            self._files.delete(target)
            raise WorkspaceError(
                f"{target} differs from the content that was written: check the disk or store "
                "of the workspace."
            )

    def keys(self) -> pl.Series:
        """The keys of all rows, each once; reads that column only."""
        return self._collect(lambda rows: rows.select(KEY).unique()).to_series()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that are not in the store, each once, in their order."""
        stored = set(self.keys())
        return [key for key in dict.fromkeys(keys) if key not in stored]

    def scan(self, keys: pl.Series | None = None) -> pl.LazyFrame:
        """Rows without duplicates, lazily; only those with one of ``keys`` if given."""

        def collect(query: Query) -> pl.DataFrame:
            def distinct(rows: pl.LazyFrame) -> pl.LazyFrame:
                if keys is not None:
                    rows = rows.filter(pl.col(KEY).is_in(keys.unique().implode()))
                return query(rows.unique(KEY, keep="first", maintain_order=True))

            return self._collect(distinct)

        return deferred(collect, self.schema)

    def chunks(self, keys: pl.Series, parts: int = 32) -> Iterator[pl.DataFrame]:
        """The rows with one of ``keys``, each once, from up to ``parts`` parts at a time.

        For whole spectra, which together are larger than the memory.
        """
        wanted = keys.unique()
        pauses = iter(_PAUSES)
        read: set[Location] = set()
        left = self._sizes()
        while left:
            group = parts_at_once(left, parts)
            try:
                chunk = self._read_whole(group, wanted)
            except FileNotFoundError as error:
                self._pause(pauses, error)
                left = {part: size for part, size in self._sizes().items() if part not in read}
                continue
            read.update(group)
            left = {part: size for part, size in left.items() if part not in read}
            wanted = wanted.filter(~wanted.is_in(chunk[KEY].implode()))
            if chunk.height:
                yield chunk

    def _read_whole(self, parts: Iterable[Location], keys: pl.Series | None = None) -> pl.DataFrame:
        """The rows of whole parts, verified, each key once; only those in ``keys`` if given.

        Raises FileNotFoundError if a part is missing and DamagedError if one is damaged.
        """
        frames = []
        for part, content in self._contents(parts):
            if content is None:
                raise FileNotFoundError(part)
            if fault_in(content, self.schema) is not None:
                raise DamagedError(self.damage())
            rows = read_part(content, self.schema)
            frames.append(rows if keys is None else _only(rows, rows[KEY].is_in(keys.implode())))
        found = pl.concat(frames)
        return _only(found, found[KEY].is_first_distinct())

    def _collect(self, query: Query) -> pl.DataFrame:
        """Run a query on all rows, repetitions included."""
        pauses = iter(_PAUSES)
        while True:
            try:
                with self._naming_damage():
                    return query(self._scan(self._sizes())).collect()
            except FileNotFoundError as error:
                self._pause(pauses, error)

    def _pause(self, pauses: Iterator[float], error: FileNotFoundError) -> None:
        """Wait before a retry; raises WorkspaceError after the last one."""
        pause = next(pauses, None)
        if pause is None:
            raise WorkspaceError(
                f"Parts of {self.folder} are deleted again and again while they are read ({error}):"
                " wait until no other process changes the workspace, and run the command again."
            ) from error
        time.sleep(pause)

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        """Turn errors into ones that name all damaged parts, whatever the query reads of them."""
        try:
            yield
        except FileNotFoundError:
            raise
        except DamagedError as error:
            raise DamagedError({**self.damage(), **error.damage}) from error
        except UNREADABLE as error:
            if damage := self.damage():
                raise DamagedError(damage) from error
            raise WorkspaceError(
                f"{self.folder} cannot be read ({error}): check the folder's permissions."
            ) from error

    def _sizes(self) -> dict[Location, int]:
        """The parts, oldest first, with their bytes."""
        return self._files.sizes(self.folder, PART_PATTERN)

    def _scan(self, sizes: Mapping[Location, int]) -> pl.LazyFrame:
        if not sizes:
            return pl.LazyFrame(schema=self.schema)
        return self._files.scan_parquet(sizes, self.schema, self._verified)

    def _damage(self, parts: Iterable[Location]) -> dict[Location, str]:
        damage = {}
        for part, content in self._contents(parts):
            fault = None if content is None else fault_in(content, self.schema)
            if fault is not None:
                damage[part] = fault
            elif content is not None:
                self._verified.add(part)
        return damage

    def _contents(self, parts: Iterable[Location]) -> Iterator[tuple[Location, _Content]]:
        """Each part with its bytes, or None if it is missing; some parts are read at a time."""
        listed = list(parts)
        return zip(listed, map_concurrently(self._files.read, listed), strict=True)


def _only(rows: pl.DataFrame, chosen: pl.Series) -> pl.DataFrame:
    """The chosen rows; no copy of the spectra if these are all."""
    return rows if chosen.all() else rows.filter(chosen)
