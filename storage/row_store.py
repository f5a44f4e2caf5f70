"""The row store: content-keyed rows in append-only Parquet parts.

A row that is in the store is never recomputed. Each part is put in its place at once, so that
any number of processes may write and read at once; two that computed the same row leave it twice in
the store and once on read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import DamagedError, WorkspaceError
from storage.checksums import UNREADABLE, fault_in, read_part
from storage.filesystem import get, remove
from storage.tables import deferred, unique_part_name, write_parquet

if TYPE_CHECKING:
    from storage.filesystem import Place

KEY = "key"
_PARTS = "part-*.parquet"
#: The bytes of a part, or None if the part is missing.
_Content = bytes | None


class RowStore:
    """Rows of one schema in one folder; ``schema`` has a String column ``key``.

    Columns and fields added after a part was written are read as null.
    Reading raises DamagedError if a part has changed since it was written. A local part is verified
    before Polars reads it, because a damaged part may end the process. From an object store, a
    query may fetch only a few columns of a part; only ``chunks`` verifies the whole part.
    """

    def __init__(self, folder: Place, schema: pl.Schema) -> None:
        self.folder = folder
        self.schema = schema
        #: Parts never change, so verified parts are not checked again.
        self._whole: set[Place] = set()

    def parts(self) -> list[Place]:
        """The parts, oldest first."""
        return list(self._sizes())

    def bytes(self) -> int:
        """The size of all parts together."""
        return sum(self._sizes().values())

    def damage(self) -> dict[Place, str]:
        """Return the damaged parts and what is wrong with each; reads every part."""
        return self._damage(self.parts())

    def _damage(self, parts: Iterable[Place]) -> dict[Place, str]:
        found = {}
        for part, content in _contents(parts):
            fault = None if content is None else fault_in(content, self.schema)
            if fault is None:
                self._whole.add(part)
            else:
                found[part] = fault
        return found

    def append(self, rows: pl.DataFrame) -> None:
        """Add rows as one part; they are there for every reader when this returns."""
        if rows.height:
            frame = rows.select(list(self.schema)).cast(self.schema)
            write_parquet(self.folder / unique_part_name(), frame)

    def discard(self, unwanted: pl.Expr) -> int:
        """Delete the rows for which an expression is true; return their number.

        An affected part is rewritten without them before it is deleted, so an interruption loses
        nothing. Do not call it while another process reads the store: the part that the reader
        found would be missing.
        """
        found = 0
        for part, size in self._sizes().items():
            rows = self._scan({part: size})
            with self._blaming():
                count = rows.filter(unwanted).select(pl.len()).collect().item()
                kept = rows.filter(~unwanted.fill_null(value=False)).collect() if count else None
            if kept is not None:
                self.append(kept)
                remove(part)
                found += count
        return found

    def keys(self) -> pl.Series:
        """The keys of all rows, each once; reads that column only."""
        with self._blaming():
            return self._scan().select(KEY).unique().collect().to_series()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that are not in the store, each once, in their order."""
        there = set(self.keys())
        return [key for key in dict.fromkeys(keys) if key not in there]

    def scan(self, keys: pl.Series | None = None) -> pl.LazyFrame:
        """Rows without duplicates, lazily; only those with one of ``keys`` where given."""

        def rows() -> pl.LazyFrame:
            found = self._scan()
            if keys is not None:
                found = found.filter(pl.col(KEY).is_in(keys.unique().implode()))
            return found.unique(KEY, keep="first", maintain_order=True)

        return deferred(rows, self.schema, self._blaming)

    def chunks(self, keys: pl.Series, parts: int = 32) -> Iterator[pl.DataFrame]:
        """The rows with one of ``keys``, each once, from so many parts at a time.

        For whole spectra, which are too large to have in memory all at once.
        """
        wanted = keys.unique()
        files = self.parts()
        for first in range(0, len(files), parts):
            asked = pl.col(KEY).is_in(wanted.implode())
            chunk = pl.concat(
                self._rows(part, content).filter(asked)
                for part, content in _contents(files[first : first + parts])
            ).unique(KEY, keep="first", maintain_order=True)
            wanted = wanted.filter(~wanted.is_in(chunk[KEY].implode()))
            if chunk.height:
                yield chunk

    def _rows(self, part: Place, content: _Content) -> pl.DataFrame:
        """The rows of a whole part, once it is known to be as it was written."""
        if content is None:
            raise WorkspaceError(f"{part} was deleted while it was read: run the command again.")
        if fault_in(content, self.schema) is not None:
            raise DamagedError(self.damage())
        return read_part(content, self.schema)

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        """Turn Polars errors into errors that name the damaged parts."""
        try:
            yield
        except UNREADABLE as error:
            if damage := self.damage():
                raise DamagedError(damage) from error
            raise WorkspaceError(
                f"{self.folder} cannot be read ({error}): run the command again, since another "
                "process may have rewritten a part, or check the folder's permissions."
            ) from error

    def _sizes(self) -> dict[Place, int]:
        """The parts, oldest first, with their bytes."""
        if isinstance(self.folder, Path):
            found: dict[Place, int] = {}
            for part in sorted(self.folder.glob(_PARTS)):
                # Another process may have set it aside, or written it again without some rows.
                with suppress(FileNotFoundError):
                    found[part] = part.stat().st_size
            return found
        from storage.objects import sizes

        there = sizes(self.folder)
        return {self.folder / name: there[name] for name in sorted(there) if fnmatch(name, _PARTS)}

    def _scan(self, sizes: dict[Place, int] | None = None) -> pl.LazyFrame:
        sizes = self._sizes() if sizes is None else sizes
        if not sizes:
            return pl.LazyFrame(schema=self.schema)
        if not isinstance(self.folder, Path):
            from storage.columns import scan_objects

            objects = {part: size for part, size in sizes.items() if not isinstance(part, Path)}
            return scan_objects(objects, self.schema)
        # Without `glob=False` a workspace below a folder like `runs[1]` would read as empty.
        files = [part for part in sizes if isinstance(part, Path)]
        if damage := self._damage(part for part in files if part not in self._whole):
            raise DamagedError(damage)
        return pl.scan_parquet(
            files,
            schema=self.schema,
            glob=False,
            missing_columns="insert",
            cast_options=pl.ScanCastOptions(missing_struct_fields="insert"),
        )


def _contents(parts: Iterable[Place]) -> Iterator[tuple[Place, _Content]]:
    """Each part with its bytes; some parts are fetched at a time."""
    from storage.objects import AT_ONCE, at_once

    left = list(parts)
    while left:
        group, left = left[:AT_ONCE], left[AT_ONCE:]
        yield from zip(group, at_once(get, group), strict=True)
