"""Errors that end a run at once: the workspace or Dagster's records can no longer be written.

Every other failure affects one partition, and the others continue.
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
def stops_in_words(workspace: Workspace) -> Iterator[None]:
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


def stop_behind(error: Any, workspace: Workspace) -> WorkspaceError | None:
    """Return the reason to stop after a failed step, or None if other partitions can continue."""
    ours = f"{errors.__name__}."
    while error is not None:
        text = error.message.strip()
        if text.startswith(ours):
            # Behind it is what the system said: a table that is merely missing has nothing there.
            lasting = error.cls_name == WorkspaceError.__name__ and error.cause is not None
            return WorkspaceError(text.partition(": ")[2]) if lasting else None
        if error.cls_name in _DATABASE_ERRORS:
            return _records_error(workspace, re.sub(r"^.*?Error\) |^\S+Error: ", "", text))
        if (found := re.search(r"\[Errno (\d+)\] ([^:\n]*)", text)) and int(found[1]) in UNWRITABLE:
            return _files_error(workspace, int(found[1]), found[2])
        error = error.cause
    return None


def _records_error(workspace: Workspace, said: str) -> WorkspaceError:
    """What is wrong with Dagster's database; its first line says it, the rest is the query."""
    reason, home = said.partition("\n")[0].strip().rstrip("."), workspace.dagster_home
    if _BROKEN.search(reason):
        cure = "move that folder away (it records what ran when, and holds no results)"
    elif "locked" in reason:
        cure = "see what else is at work there, then run again"
    else:
        cure = "make room on its disk and check its permissions, then run again to go on"
    return WorkspaceError(f"Dagster's records in {home} cannot be used ({reason}): {cure}.")


def _files_error(workspace: Workspace, number: int | None, reason: str | None) -> WorkspaceError:
    full = number in FULL_DISK
    cure = "make room on its disk" if full else "check its permissions and its disk"
    return WorkspaceError(
        f"The workspace {workspace.root} cannot be written ({reason}): {cure}, then run again to "
        "go on."
    )
