"""Open the location that a user names, and choose the filesystem of a location."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from gradpipe.errors import WorkspaceError
from storage.filesystem import Filesystem
from storage.local_files import LocalFiles
from storage.object_store import ObjectStore, open_store

if TYPE_CHECKING:
    from storage.filesystem import Location


def home_setting(chosen: str | None = None) -> str:
    """The ``chosen`` folder or URL, else the one that GRADPIPE_HOME names, else ``.gradpipe``."""
    return chosen or os.environ.get("GRADPIPE_HOME") or ".gradpipe"


def filesystem_of(location: Location) -> Filesystem[Location]:
    """The filesystem that a location belongs to."""
    files = LocalFiles() if isinstance(location, Path) else ObjectStore()
    return cast("Filesystem[Location]", files)


def open_location(home: str, setting: str = "GRADPIPE_HOME") -> Location:
    """The folder that ``home`` names: a local path, which is created if missing, or a URL.

    ``setting`` is what the user set to ``home``, for errors. Raises WorkspaceError if the folder
    cannot be created, the URL cannot hold a workspace, or its store cannot be reached.
    """
    folder = local_folder_of(home)
    if folder is None:
        return open_store(home, setting)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def local_folder_of(home: str) -> Path | None:
    """The local folder that ``home`` names, which may not exist yet; None for other URLs.

    Raises WorkspaceError if the path is invalid.
    """
    if "://" in home and not home.startswith("file://"):
        return None
    path = Path(url2pathname(urlsplit(home).path) if home.startswith("file://") else home)
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(folder: Path, error: Exception) -> WorkspaceError:
    reason = getattr(error, "strerror", None) or str(error).rstrip(".")
    return WorkspaceError(
        f"The workspace {folder.absolute()} cannot be created ({reason}): set GRADPIPE_HOME to a "
        "writable folder, or name one by --workspace."
    )
