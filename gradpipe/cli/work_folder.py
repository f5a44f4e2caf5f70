"""The folder in which ``extract`` and ``rank`` keep finished rows until the output is complete."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradpipe.errors import DamagedError, GradpipeError

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.cli.token_options import Command
    from gradpipe.standalone.kept_rows import RowSegment

#: What marks the folder as used by a process, whose name follows.
_USER = "in-use."
#: The folder of downloaded data.
_DOWNLOADS = "data"
#: The kinds of kept rows, each in a folder of its own.
_KINDS = ("spectra", "sketches", "scores")
#: The name of a segment; a user's folder may have others beside it.
_SEGMENT = re.compile(r"\d{12}")


def work_option(command: Command) -> Command:
    """Add --work to a command; ``work_folder`` opens it."""
    option = click.option(
        "--work",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="FOLDER",
        help=(
            "Keep finished rows in this folder, for other commands on the same data too (default: "
            "OUT.work, deleted once OUT is complete)."
        ),
    )
    return option(command)


class WorkFolder:
    """Keeps rows in a folder, which is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker: Path | None = None

    def segment(self, kind: str, name: str, schema: pl.Schema) -> RowSegment:
        """A row store of one chunk of data."""
        from storage.row_store import RowStore

        self._mark()
        return RowStore(self.path / kind / name, schema)

    def _mark(self) -> None:
        """Show that this process uses the folder, so that no other deletes it."""
        from gradpipe.system.atomic_files import process_name

        if self._marker is None:
            self._marker = self.path / f"{_USER}{process_name()}"
            # Keeping the first rows says what is wrong with the folder.
            with suppress(OSError):
                self.path.mkdir(exist_ok=True)
                self._marker.touch()

    def release(self) -> None:
        """Show that this process no longer uses the folder."""
        if self._marker is not None:
            with suppress(OSError):
                self._marker.unlink(missing_ok=True)

    def names(self, kind: str) -> list[str]:
        """The names of the segments of a kind that exist."""
        folder = self.path / kind
        entries = folder.iterdir() if folder.is_dir() else ()
        return sorted(entry.name for entry in entries if _SEGMENT.fullmatch(entry.name))

    def in_use(self) -> bool:
        """Whether rows or downloads are kept."""
        return any(self._parts()) or any(self.path.glob(f"{_DOWNLOADS}/*"))

    def rows(self) -> int:
        """How many rows are kept."""
        from pyarrow import parquet

        return sum(parquet.read_metadata(part).num_rows for part in self._parts())

    def delete(self) -> None:
        """Delete what this folder keeps, unless another process uses it.

        For OUT.work only, whose subfolders are gradpipe's own.
        """
        if self._delete_markers():
            for kind in (*_KINDS, _DOWNLOADS):
                shutil.rmtree(self.path / kind, ignore_errors=True)
            self._remove_empty(self.path)

    def tidy(self) -> None:
        """Delete empty segments and kinds, unless another process uses the folder.

        A user's folder may have subfolders of the same names with files of their own.
        """
        from gradpipe.system.atomic_files import sweep_leftovers

        if self._delete_markers():
            for segment in self._segments():
                sweep_leftovers(segment)
                self._remove_empty(segment)
            for kind in (*_KINDS, _DOWNLOADS):
                self._remove_empty(self.path / kind)
            self._remove_empty(self.path)

    def _segments(self) -> list[Path]:
        return [self.path / kind / name for kind in _KINDS for name in self.names(kind)]

    def _parts(self) -> list[Path]:
        return [part for segment in self._segments() for part in segment.glob("part-*.parquet")]

    def _delete_markers(self) -> bool:
        """Delete the markers of ended processes; return whether no other process is left."""
        from gradpipe.system.atomic_files import is_gone

        markers = list(self.path.glob(f"{_USER}*"))
        if not all(is_gone(marker.name.removeprefix(_USER)) for marker in markers):
            return False
        for marker in markers:
            with suppress(OSError):
                marker.unlink(missing_ok=True)
        return True

    @staticmethod
    def _remove_empty(folder: Path) -> None:
        # One with files is not empty, and another process may have removed it.
        with suppress(OSError):
            folder.rmdir()


def downloads_folder(work: Path | None, out: Path) -> Path:
    """Where the data of the hub are kept for a command that writes ``out``."""
    return _folder(work, out) / _DOWNLOADS


def _folder(work: Path | None, out: Path) -> Path:
    return out.with_name(f"{out.name}.work") if work is None else work


@contextmanager
def work_folder(work: Path | None, out: Path) -> Iterator[WorkFolder]:
    """The folder in which a command that writes ``out`` keeps rows: ``work``, or OUT.work.

    The latter is deleted if the block ends without an error, and if nothing is kept in it. Of
    ``work``, only empty folders of gradpipe's own are removed. If the block is interrupted, says
    how many rows are kept. Raises GradpipeError for damaged rows.
    """
    folder = WorkFolder(_folder(work, out))
    complete = False
    try:
        yield folder
        complete = True
    except DamagedError as error:
        place = next(iter(error.damage))
        raise GradpipeError(
            f"{place} {error.damage[place]}: delete it and run the command again, which computes "
            "its rows again."
        ) from error
    except KeyboardInterrupt:
        click.echo(_stopped(folder), err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        folder.release()
        if work is not None:
            folder.tidy()
        elif complete or not folder.in_use():
            folder.delete()


def _stopped(folder: WorkFolder) -> str:
    try:
        rows = folder.rows()
    # A part may be damaged; the next run says so.
    except Exception:
        return f"gradpipe: stopped; finished rows are kept in {folder.path}."
    if not rows:
        return "gradpipe: stopped before the first rows were finished; nothing is kept."
    return (
        f"gradpipe: stopped; {rows:,} finished rows are kept in {folder.path}. Run the same "
        "command again to compute the others."
    )
