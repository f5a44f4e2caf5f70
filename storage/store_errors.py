"""Convert errors of an object store's package into one sentence with cause and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gradpipe.errors import GradpipeError, WorkspaceError
from gradpipe.system.failures import Cause, failed_with

if TYPE_CHECKING:
    from upath import UPath

_UNREACHABLE = "its store cannot be reached"
#: What to say about a failure, and what to do.
_CAUSES = (
    (
        Cause.STORE_CREDENTIALS,
        "there are no usable credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE (for "
        "other stores, see the documentation of their packages)",
    ),
    (
        Cause.STORE_UNREACHABLE,
        _UNREACHABLE,
        "check the network and, for your own store, AWS_ENDPOINT_URL",
    ),
    (
        Cause.STORE_DENIED,
        "access is denied",
        "check the credentials and their permissions for this bucket",
    ),
)


@contextmanager
def as_workspace_error(address: UPath, done: str) -> Iterator[None]:
    """Raise WorkspaceError for any error in the block: ``address`` cannot be ``done``.

    FileNotFoundError and ImportError are not converted: callers handle them. The error is
    ``transient`` if the store is unreachable or busy.
    """
    try:
        yield
    except (GradpipeError, FileNotFoundError, ImportError):
        raise
    except Exception as error:
        cause, cure = _cause_and_cure(error)
        raise WorkspaceError(
            f"{address} cannot be {done} ({cause}): {cure}.",
            transient=cause == _UNREACHABLE or failed_with(error, Cause.STORE_BUSY),
        ) from error


def missing_bucket(address: UPath) -> WorkspaceError:
    """The error for a missing bucket; gradpipe creates folders, never buckets."""
    bucket = address.path.strip("/").partition("/")[0]
    return WorkspaceError(
        f"There is no bucket {bucket!r} for {address}: create it, or correct GRADPIPE_HOME."
    )


def _cause_and_cure(error: Exception) -> tuple[str, str]:
    for kind, cause, cure in _CAUSES:
        if failed_with(error, kind):
            return cause, cure
    return _one_line(error), "check the address and the store's state"


def _one_line(error: Exception) -> str:
    """The message of an exception on one line, without the password that a URL may contain."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return re.sub(r"://[^/\s]*@", "://", text)[:200].rstrip(".: ") or type(error).__name__
