"""The row store: content-keyed rows in append-only Parquet parts.

A row that is in the store is never computed again. Each part is put in its place at once, so that
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
#: The bytes of a part, None where it is gone.
_Content = bytes | None


class RowStore:
    """Rows of one schema in one folder; ``schema`` has a String column ``key``.

    What a part that was written before a column or a field came to be lacks is read as null.
    Reading raises DamagedError where a part is not as it was written. A local part is known to be
    whole before Polars is given it, which may end the process over a damaged one; of a part in an
    object store a few columns may be all that is fetched, and only ``chunks`` looks at the whole.
    """

    def __init__(self, folder: Place, schema: pl.Schema) -> None:
        self.folder = folder
        self.schema = schema
        #: Parts never change: those that were found whole are not looked at again.
        self._whole: set[Place] = set()

    def parts(self) -> list[Place]:
        """The parts, oldest first."""
        return list(self._sizes())

    def bytes(self) -> int:
        """The size of all parts together."""
        return sum(self._sizes().values())

    def damage(self) -> dict[Place, str]:
        """The parts that are not as they were written, and what is wrong with each; reads all."""
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
        """Take out the rows for which an expression holds; how many there were.

        A part that has some is written again without them before it is deleted, so that a stop on
        the way loses nothing. Not while something else reads the store: the part it had found is
        gone then.
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
        """Name the damaged parts behind whatever Polars makes of them."""
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
