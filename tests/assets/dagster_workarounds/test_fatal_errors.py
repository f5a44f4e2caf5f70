"""Which failures end a whole run, and in which words."""

import errno
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info

from assets.dagster_workarounds.fatal_errors import clear_fatal_errors, fatal_error
from gradpipe.errors import DamagedError, DataError, WorkspaceError
from storage.workspace import Workspace

FULL = OSError(errno.ENOSPC, "No space left on device")


def told(error: Exception, cause: Exception | None = None) -> SerializableErrorInfo:
    """A step's failure as Dagster tells of it."""
    try:
        try:
            raise error from cause
        except Exception as failure:
            raise RuntimeError("Error occurred while executing op") from failure
    except RuntimeError:
        return serializable_error_info_from_exc_info(sys.exc_info())


def query_failed(reason: str) -> sqlalchemy.exc.OperationalError:
    return sqlalchemy.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(reason))


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        (WorkspaceError("It cannot be written: see to it."), FULL, "It cannot be written: see"),
        (FULL, None, "cannot be written (No space left on device): free disk space"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), None, "check its permissions"),
        (query_failed("database or disk is full"), None, "full): free disk space"),
        (query_failed("database is locked"), None, "check which other process"),
        (query_failed("no such table: runs"), None, "move that folder away"),
    ],
)
def test_what_the_next_partition_would_meet_too_ends_the_run(
    tmp_path: Path, error: Exception, cause: Exception | None, words: str
) -> None:
    stop = fatal_error(told(error, cause), Workspace(tmp_path))
    assert stop is not None
    assert words in str(stop)
    assert "\n" not in str(stop)
    assert "SELECT" not in str(stop)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WorkspaceError("The table is missing: make it."), None),
        (DamagedError({"part": "is truncated"}), FULL),
        (DataError("The file cannot be read: see to it."), PermissionError(errno.EACCES, "no")),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (ZeroDivisionError("a bug"), None),
    ],
)
def test_what_is_one_partitions_own_does_not(
    tmp_path: Path, error: Exception, cause: Exception | None
) -> None:
    assert fatal_error(told(error, cause), Workspace(tmp_path)) is None


@pytest.mark.parametrize("error", [FULL, query_failed("disk I/O error"), sqlite3.Error("gone")])
def test_what_dagsters_own_writing_meets_is_said_in_words(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        with clear_fatal_errors(Workspace(tmp_path)):
            raise error

    with pytest.raises(WorkspaceError, match="run again|check"):
        fail()


@pytest.mark.parametrize("error", [DataError("It is gone: see to it."), KeyError("a bug")])
def test_other_errors_go_through(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        with clear_fatal_errors(Workspace(tmp_path)):
            raise error

    with pytest.raises(type(error)):
        fail()
