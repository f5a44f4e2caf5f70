"""The user's cache folder: converted models, digests, downloaded sources; all of it can go."""

from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for gradpipe; not made here."""
    from platformdirs import user_cache_path

    return user_cache_path("gradpipe", appauthor=False)
