"""The user's cache folder: converted models, digests, downloaded sources; all of it can go."""

from pathlib import Path

from gradpipe.errors import WorkspaceError


def cache_folder() -> Path:
    """The user's cache folder for gradpipe; not made here.

    Raises WorkspaceError where the system does not know the user's home.
    """
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("gradpipe", appauthor=False)
    except RuntimeError:
        folder = Path()
    # Some releases of platformdirs leave a home that they do not know as it is written, ``~``.
    if not folder.is_absolute():
        raise WorkspaceError(
            "The home folder of this user is not known, and so not the cache below it: set HOME, "
            "or set XDG_CACHE_HOME to a folder that you may write."
        )
    return folder
