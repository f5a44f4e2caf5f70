"""Tables: one Parquet file that is whole or not there, and says which version of what it holds."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import polars as pl

from gradpipe.aside import written_aside
from gradpipe.errors import WorkspaceError

_NOTES = "gradpipe"


@dataclass(frozen=True)
class Notes:
    """What a table's file says of it: ``version`` of its inputs, ``data`` of its content."""

    version: str
    data: str
    rows: int


class Table:
    """A table at a path. Readers see the old one or the new one, never a part of either."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def notes(self) -> Notes | None:
        """The table's notes, or None where there is no table or it was not written whole."""
        if not self.path.is_file():
            return None
        try:
            return Notes(**json.loads(pl.read_parquet_metadata(self.path)[_NOTES]))
        except (pl.exceptions.PolarsError, OSError, KeyError, ValueError, TypeError):
            return None

    def require_notes(self) -> Notes:
        """The table's notes; raises WorkspaceError where it is missing or broken."""
        notes = self.notes()
        if notes is None:
            raise WorkspaceError(
                f"{self.path} is missing or broken: run `gradpipe run`, which makes it again."
            )
        return notes

    def is_current(self, version: str) -> bool:
        """Whether the table was made from just this version of its inputs."""
        notes = self.notes()
        return notes is not None and notes.version == version

    def read(self) -> pl.DataFrame:
        """The whole table; raises WorkspaceError where it is missing or broken."""
        try:
            return self.scan().collect()
        except pl.exceptions.PolarsError as error:
            raise WorkspaceError(
                f"{self.path} is damaged: delete it and run `gradpipe run`, which makes it again."
            ) from error

    def scan(self) -> pl.LazyFrame:
        """The table, lazily; raises WorkspaceError where it is missing or broken.

        Its file is opened once: a scan of the path opens it again for the data, which may then be
        those of the table that another process has put in its place.
        """
        self.require_notes()
        try:
            return pl.scan_parquet(self.path.read_bytes())
        except OSError as error:
            raise WorkspaceError(
                f"{self.path} cannot be read ({error.strerror}): check the file's permissions."
            ) from error

    def write(self, frame: pl.DataFrame, version: str, data: str | None = None) -> Notes:
        """Put ``frame`` in the table's place at once, with its notes.

        ``data`` names the content where that is known more cheaply than by hashing the rows.
        """
        notes = Notes(version, data or content_of(frame), frame.height)
        write_aside(self.path, frame, {_NOTES: json.dumps(asdict(notes))})
        return notes


def content_of(frame: pl.DataFrame) -> str:
    """A hash of a frame's rows, in their order."""
    return hashlib.sha256(frame.write_ndjson().encode("utf-8", "surrogatepass")).hexdigest()[:20]


def write_aside(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Write ``frame`` beside ``path``, onto the disk, then rename it into place.

    Raises WorkspaceError where the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside, aside.open("wb") as file:
            frame.write_parquet(file, compression="zstd", metadata=metadata)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, pl.exceptions.PolarsError) as error:
        # A full disk is a PolarsError: Polars writes to the file by itself.
        reason = getattr(error, "strerror", None) or error
        raise WorkspaceError(
            f"{path} cannot be written ({reason}): check the folder's permissions and the disk's "
            "free space."
        ) from error


def unique_part_name() -> str:
    """A file name no other writer takes, in the order of writing."""
    return f"part-{time.time_ns():020d}-{os.getpid()}-{uuid4().hex[:8]}.parquet"
