"""The user's own folders for gradpipe; neither is made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradpipe.errors import WorkspaceError


def cache_folder() -> Path:
    """Return the folder for converted models, digests and downloads: all of it can be deleted.

    Raises WorkspaceError if the system does not know the user's home.
    """
    from platformdirs import user_cache_path

    return _known(lambda: user_cache_path("gradpipe", appauthor=False), "XDG_CACHE_HOME")


def data_folder() -> Path:
    """For records that are to stay; raises WorkspaceError as ``cache_folder`` does."""
    from platformdirs import user_data_path

    return _known(lambda: user_data_path("gradpipe", appauthor=False), "XDG_DATA_HOME")


def _known(find: Callable[[], Path], variable: str) -> Path:
    try:
        folder = find()
    except RuntimeError:
        folder = Path()
    # Some releases of platformdirs leave a home that they do not know as it is written, ``~``.
    if not folder.is_absolute():
        raise WorkspaceError(
            "The home folder of this user is not known, and so no folder below it: set HOME, or "
            f"set {variable} to a folder that you may write."
        )
    return folder
