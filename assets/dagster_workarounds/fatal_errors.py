"""Errors that end a run at once: the workspace or Dagster's records can no longer be written.

Dagster 1.13.27 reports the error of a failed step only as text, so its kind has to be read from
that text, and raises its database's own exceptions between steps. No upstream issue known. Every
other failure affects one partition, and the others continue.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradpipe import errors
from gradpipe.errors import GradpipeError, WorkspaceError
from gradpipe.system.failures import FULL_DISK, UNWRITABLE
from storage.workspace import Workspace

_DATABASE_ERRORS = {"OperationalError", "DatabaseError", "InternalError", "InterfaceError"}
_BROKEN = re.compile("malformed|not a database|no such table|no such column")


@contextmanager
def clear_fatal_errors(workspace: Workspace) -> Iterator[None]:
    """Raise WorkspaceError if the block finds the workspace or Dagster's records unwritable."""
    import sqlalchemy

    try:
        yield
    except GradpipeError:
        raise
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _records_error(workspace, str(getattr(error, "orig", None) or error)) from error
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise _files_error(workspace, error.errno, error.strerror) from error


def fatal_error(error: Any, workspace: Workspace) -> WorkspaceError | None:
    """Return the reason to stop after a failed step, or None if other partitions can continue."""
    ours = f"{errors.__name__}."
    while error is not None:
        text = error.message.strip()
        if text.startswith(ours):
            # A system error has a cause of its own; an error about a missing table has none.
            lasting = error.cls_name == WorkspaceError.__name__ and error.cause is not None
            return WorkspaceError(text.partition(": ")[2]) if lasting else None
        if error.cls_name in _DATABASE_ERRORS:
            return _records_error(workspace, re.sub(r"^.*?Error\) |^\S+Error: ", "", text))
        match = re.search(r"\[Errno (\d+)\] ([^:\n]*)", text)
        if match and int(match[1]) in UNWRITABLE:
            return _files_error(workspace, int(match[1]), match[2])
        error = error.cause
    return None


def _records_error(workspace: Workspace, message: str) -> WorkspaceError:
    """The error of Dagster's database: the first line is the reason, the rest is the query."""
    reason, home = message.partition("\n")[0].strip().rstrip("."), workspace.dagster_home
    if _BROKEN.search(reason):
        cure = "move that folder away (it holds the history of runs, and no results)"
    elif "locked" in reason:
        cure = "check which other process uses them, then run again"
    else:
        cure = "free disk space and check the permissions, then run again to resume"
    return WorkspaceError(f"Dagster's records in {home} cannot be used ({reason}): {cure}.")


def _files_error(workspace: Workspace, number: int | None, reason: str | None) -> WorkspaceError:
    full = number in FULL_DISK
    cure = "free disk space" if full else "check its permissions and its disk"
    return WorkspaceError(
        f"The workspace {workspace.root} cannot be written ({reason}): {cure}, then run again to "
        "resume."
    )
