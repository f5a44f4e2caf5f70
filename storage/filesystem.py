"""The file operations of a workspace, whether it is a local folder or an object store.

Every write is atomic for every reader, even if the process is killed. Nothing is remembered of a
listing, so that files of other processes are seen at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar
from uuid import uuid4

import polars as pl

if TYPE_CHECKING:
    # Only for types: universal-pathlib comes with the extra `pipeline`.
    from upath import UPath

    #: A path in a local folder, or an address in an object store.
    Location: TypeAlias = Path | UPath

LocationT = TypeVar("LocationT", bound="Location")

#: Suffix of quarantined files.
ASIDE = ".aside"


class Filesystem(ABC, Generic[LocationT]):
    """The files at locations of one kind.

    Every operation raises WorkspaceError if the storage refuses it or cannot be reached.
    """

    @abstractmethod
    def local_path(self, location: LocationT) -> Path | None:
        """The location as a path on this machine, or None if it is in an object store."""

    @abstractmethod
    def read(self, location: LocationT) -> bytes | None:
        """The whole file, or None if it is missing."""

    @abstractmethod
    def read_footer(self, location: LocationT) -> bytes | None:
        """The last bytes of a Parquet file with its whole footer, or None if it is missing."""

    @abstractmethod
    def write(self, location: LocationT, content: bytes) -> None:
        """Create or replace a file: readers see the old content or the new one."""

    @abstractmethod
    def written(self, location: LocationT) -> float | None:
        """When a file was written, in seconds since 1970; None if it is missing."""

    @abstractmethod
    def delete(self, location: LocationT, first: str = "") -> None:
        """Delete a file, or a folder with all its files; do nothing if it is missing.

        Files named ``first`` are deleted before all others.
        """

    @abstractmethod
    def rename(self, location: LocationT, name: str) -> LocationT | None:
        """Rename a file in its folder; return its new location, or None if it is missing."""

    @abstractmethod
    def files_below(self, folder: LocationT) -> list[LocationT]:
        """Every file in a folder and its subfolders, sorted; empty if the folder is missing."""

    @abstractmethod
    def sizes(self, folder: LocationT, pattern: str) -> dict[LocationT, int]:
        """The files directly in a folder whose names match a pattern, sorted, with their bytes."""

    @abstractmethod
    def scan_parquet(
        self, files: Mapping[LocationT, int], schema: pl.Schema, whole: set[LocationT]
    ) -> pl.LazyFrame:
        """The rows of Parquet files, lazily, in the order of the files; missing columns are null.

        ``files`` maps each file to its bytes. The columns that a query reads are verified by their
        checksums when it runs. A local file without them is verified whole, unless it is in
        ``whole``, where it is added. The query raises FileNotFoundError if a file has been deleted
        since it was listed, and DamagedError if one has changed since it was written.
        """

    @abstractmethod
    def local_folder(self, folder: LocationT, last: str) -> AbstractContextManager[Path]:
        """A local folder to write ``folder``'s files to.

        They are all at ``folder`` when the block ends without an error, the file named ``last``
        after all others.
        """

    def quarantine(self, location: LocationT) -> LocationT | None:
        """Rename a file so that no reader uses it; its new location, or None if it is missing."""
        return self.rename(location, f"{location.name}.{uuid4().hex[:8]}{ASIDE}")
