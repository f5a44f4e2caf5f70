"""Optional packages, and the extras of gradpipe that install them."""

from __future__ import annotations

from gradpipe.system.extras import OPTIONAL_PACKAGES, missing_package


def missing_extra(error: ModuleNotFoundError, command: str) -> str | None:
    """One sentence that names the extra to install for ``command``.

    Returns None if the missing module is not an optional package: that is a bug.
    """
    if error.name not in OPTIONAL_PACKAGES:
        return None
    return missing_package(error.name, command)
