"""The files of a workspace in a local folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from gradpipe.errors import WorkspaceError
from gradpipe.system.atomic_files import written_aside
from storage.filesystem import Filesystem
from storage.local_reads import scan_files


class LocalFiles(Filesystem[Path]):
    """Files on this machine: written to a temporary name, synced to disk and renamed."""

    def local_path(self, location: Path) -> Path:
        """The path itself."""
        return location

    def read(self, location: Path) -> bytes | None:
        """The whole file, or None if there is no file of that name."""
        if not location.is_file():
            return None
        try:
            return location.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(location, "read", error, "the file's permissions") from error

    def read_footer(self, location: Path) -> bytes | None:
        """As in Filesystem; an unreadable file counts as missing, so that it is written again."""
        try:
            with location.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 8, 0))
                footer = int.from_bytes(file.read(4), "little") + 8
                file.seek(max(end - footer, 0))
                return file.read()
        except OSError:
            return None

    def write(self, location: Path, content: bytes) -> None:
        """Write and sync a temporary file, then rename it; create missing folders."""
        try:
            location.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(location) as aside, aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            cure = "the folder's permissions and the disk's free space"
            raise _refused(location, "written", error, cure) from error

    def written(self, location: Path) -> float | None:
        """The time at which the file was last changed."""
        try:
            return location.stat().st_mtime
        except OSError:
            return None

    def delete(self, location: Path, first: str = "") -> None:
        """Delete a file or folder; a folder's own entry goes too."""
        try:
            for file in location.rglob(first) if first else ():
                file.unlink()
            if location.is_file():
                location.unlink()
            else:
                shutil.rmtree(location)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refused(location, "deleted", error, "the folder's permissions") from error

    def rename(self, location: Path, name: str) -> Path | None:
        """Rename a file at once."""
        if not location.is_file():
            return None
        try:
            return location.rename(location.with_name(name))
        except OSError as error:
            raise _refused(location, "moved", error, "the folder's permissions") from error

    def files_below(self, folder: Path) -> list[Path]:
        """Every file in a folder and its subfolders, sorted."""
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def sizes(self, folder: Path, pattern: str) -> dict[Path, int]:
        """The files directly in a folder whose names match a pattern, sorted, with their bytes."""
        sizes: dict[Path, int] = {}
        for file in sorted(folder.glob(pattern)):
            # Another process may have deleted or renamed it since it was listed.
            with suppress(FileNotFoundError):
                sizes[file] = file.stat().st_size
        return sizes

    def scan_parquet(
        self, files: Mapping[Path, int], schema: pl.Schema, whole: set[Path]
    ) -> pl.LazyFrame:
        """Scan the files with Polars, which reads them when the query runs."""
        return scan_files(files, schema, whole)

    @contextmanager
    def local_folder(self, folder: Path, last: str) -> Iterator[Path]:
        """As in Filesystem; the files are written to ``folder`` itself."""
        yield folder


def _refused(location: Path, done: str, error: OSError, cure: str) -> WorkspaceError:
    reason = error.strerror or error
    return WorkspaceError(f"{location} cannot be {done} ({reason}): check {cure}.")
