"""The output file of a command: checked before the work, then replaced whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from gradpipe.errors import DataError
from gradpipe.system.atomic_files import aside_path, written_aside


def check_writable(out: Path) -> None:
    """Raise DataError if no file can be written at ``out``: tries it, beside ``out``."""
    special = out.exists() and not out.is_file()
    if special or not os.access(out.resolve().parent, os.W_OK):
        raise DataError(
            f"{out} cannot be written: choose a file in an existing folder with write permission."
        )
    # Permissions do not say that a file system is read-only, or whether root can write to it.
    aside = aside_path(out)
    try:
        aside.touch()
        aside.unlink()
    except OSError as error:
        raise unwritable(out, error) from error


def write_atomically(out: Path, write: Callable[[Path], object]) -> None:
    """Replace ``out`` by the file that ``write`` produces at the path it is given.

    If the write fails, an earlier file at ``out`` stays untouched. Raises DataError.
    """
    try:
        with written_aside(out) as aside:
            write(aside)
            with aside.open("r+b") as file:
                # Without this, a crash could leave the new name with no content.
                os.fsync(file.fileno())
    # Polars writes the file itself and reports a full disk as a PolarsError.
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unwritable(out, error) from error


def unwritable(out: Path, error: Exception) -> DataError:
    """The error of a file that cannot be written."""
    reason = getattr(error, "strerror", None)
    if reason is None and (number := getattr(error, "errno", None)) is not None:
        reason = os.strerror(number)
    reason = reason or str(error).rpartition("IO error: ")[2]
    return DataError(
        f"{out} cannot be written ({reason}): check the folder's permissions and the free "
        "space on the disk."
    )
