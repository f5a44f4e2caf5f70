"""The user's folders for gradpipe; this module does not create them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradpipe.errors import WorkspaceError


def cache_folder() -> Path:
    """Return the folder for converted models, digests and downloads; it can be deleted at any time.

    Raises WorkspaceError if the user's home folder is unknown.
    """
    from platformdirs import user_cache_path

    return _absolute(lambda: user_cache_path("gradpipe", appauthor=False), "XDG_CACHE_HOME")


def data_folder() -> Path:
    """Return the folder for permanent records; raises WorkspaceError as ``cache_folder`` does."""
    from platformdirs import user_data_path

    return _absolute(lambda: user_data_path("gradpipe", appauthor=False), "XDG_DATA_HOME")


def _absolute(find: Callable[[], Path], variable: str) -> Path:
    try:
        folder = find()
    except RuntimeError:
        folder = Path()
    # Some releases of platformdirs return ``~`` unchanged if the home folder is unknown.
    if not folder.is_absolute():
        raise WorkspaceError(
            "The home folder of this user is unknown: set HOME, or "
            f"set {variable} to a writable folder."
        )
    return folder
