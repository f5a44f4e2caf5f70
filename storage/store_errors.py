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

_OUT_OF_REACH = "its store cannot be reached"
#: What to say about a failure, and what to do.
_CAUSES = (
    (
        Cause.STORE_CREDENTIALS,
        "there are no usable credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE (for "
        "other stores, what their packages ask for)",
    ),
    (
        Cause.STORE_UNREACHABLE,
        _OUT_OF_REACH,
        "check the network and, where the store is your own, AWS_ENDPOINT_URL",
    ),
    (
        Cause.STORE_DENIED,
        "access is denied",
        "check the credentials and what they may do in this bucket",
    ),
)


@contextmanager
def in_words(address: UPath, done: str) -> Iterator[None]:
    """Raise WorkspaceError for any error in the block: ``address`` cannot be ``done``.

    Only FileNotFoundError and ImportError go through, as answers that a caller understands. The
    error is ``transient`` if the store is unreachable or busy.
    """
    try:
        yield
    except (GradpipeError, FileNotFoundError, ImportError):
        raise
    except Exception as error:
        cause, cure = _cause_and_cure(error)
        raise WorkspaceError(
            f"{address} cannot be {done} ({cause}): {cure}.",
            transient=cause == _OUT_OF_REACH or failed_with(error, Cause.STORE_BUSY),
        ) from error


def no_bucket(address: UPath) -> WorkspaceError:
    """The error for a bucket that is not there; gradpipe makes folders, never buckets."""
    bucket = address.path.strip("/").partition("/")[0]
    return WorkspaceError(
        f"There is no bucket {bucket!r} for {address}: make it, or correct GRADPIPE_HOME."
    )


def _cause_and_cure(error: Exception) -> tuple[str, str]:
    for kind, cause, cure in _CAUSES:
        if failed_with(error, kind):
            return cause, cure
    return _told(error), "check the address and the store's state"


def _told(error: Exception) -> str:
    """What an exception says, on one line and without the password that a URL may carry."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return re.sub(r"://[^/\s]*@", "://", text)[:200].rstrip(".: ") or type(error).__name__
