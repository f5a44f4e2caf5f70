"""Recognize the cause of a failure from the exceptions of the system and of other packages.

By the names of exception types, since most of those packages are optional or slow to import, and by
messages only if a package has no type for the cause.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

#: Error numbers of a full disk or quota.
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Error numbers after which the next write to the same place would fail too.
UNWRITABLE = FULL_DISK | {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}

Predicate = Callable[[BaseException], bool]


class Cause(Enum):
    """A cause of failures that callers handle or explain."""

    #: A batch did not fit into the memory of the machine or accelerator.
    OUT_OF_MEMORY = auto()
    #: The network or the server did not answer.
    CONNECTION_FAILED = auto()
    #: The server answered that it is overloaded or down.
    SERVER_BUSY = auto()
    FULL_DISK = auto()
    #: There is no such repository, revision or file on the hub, or it is private or gated.
    NOT_ON_HUB = auto()
    NO_SUCH_FILE = auto()
    #: A file is damaged or does not have the expected columns.
    UNREADABLE_TABLE = auto()
    #: transformers was told to read safetensors only, and the model has none.
    NO_SAFETENSORS = auto()
    #: The model comes with Python code that it needs.
    CUSTOM_CODE = auto()
    #: An object store has no usable credentials, is unreachable, or denies access.
    STORE_CREDENTIALS = auto()
    STORE_UNREACHABLE = auto()
    STORE_DENIED = auto()
    #: s3fs reports a store that asks for fewer requests as EBUSY.
    STORE_BUSY = auto()


def failed_with(error: BaseException, cause: Cause) -> bool:
    """Return whether the error itself has this cause."""
    return _PREDICATES[cause](error)


def caused_by(error: BaseException | None, cause: Cause) -> bool:
    """Return whether the error, or any error that it was raised from, has this cause."""
    return any(_PREDICATES[cause](link) for link in error_chain(error))


def connection_failed(error: BaseException | None) -> bool:
    """Return whether the network or the server did not answer, so that a retry may succeed."""
    return caused_by(error, Cause.CONNECTION_FAILED)


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and the errors that it was raised from, the root cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _type_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _is_type(*names: str) -> Predicate:
    return lambda error: not _type_names(error).isdisjoint(names)


def _type_matches(pattern: str) -> Predicate:
    """Match a part of the type's name: the packages of object stores share no base types."""
    compiled = re.compile(pattern)
    return lambda error: any(compiled.search(name) for name in _type_names(error))


def _says(*phrases: str) -> Predicate:
    return lambda error: any(phrase in str(error) for phrase in phrases)


def _out_of_memory(error: BaseException) -> bool:
    """torch has a type for CUDA only; the CPU's and MPS's allocators raise RuntimeError."""
    if _is_type("MemoryError", "OutOfMemoryError")(error):
        return True
    # cuBLAS and cuSOLVER allocate workspaces outside of torch's allocator.
    says = _says(
        "can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED"
    )
    return isinstance(error, RuntimeError) and says(error)


_PREDICATES: dict[Cause, Predicate] = {
    Cause.OUT_OF_MEMORY: _out_of_memory,
    Cause.CONNECTION_FAILED: _is_type(
        "ConnectionError", "TimeoutError", "Timeout", "TransportError", "ClientConnectionError"
    ),
    Cause.SERVER_BUSY: lambda error: getattr(error, "status", 0) in {408, 429, 500, 502, 503, 504},
    Cause.FULL_DISK: lambda error: getattr(error, "errno", None) in FULL_DISK,
    Cause.NOT_ON_HUB: _is_type(
        "EntryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"
    ),
    Cause.NO_SUCH_FILE: _is_type("FileNotFoundError"),
    Cause.UNREADABLE_TABLE: _is_type(
        "ArrowInvalid", "ArrowTypeError", "PolarsError", "PanicException", "DamagedParquetError"
    ),
    Cause.NO_SAFETENSORS: _says("use_safetensors"),
    Cause.CUSTOM_CODE: _says("custom code"),
    Cause.STORE_CREDENTIALS: _type_matches("Credential|Profile|Token"),
    Cause.STORE_UNREACHABLE: _type_matches("Connect|Timeout|Endpoint|SSL|HTTPClient"),
    Cause.STORE_DENIED: _type_matches("Permission|Forbidden"),
    Cause.STORE_BUSY: lambda error: getattr(error, "errno", None) == errno.EBUSY,
}
