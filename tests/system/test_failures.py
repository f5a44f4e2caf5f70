"""The causes of failures are recognized by the types that packages raise, and by few messages."""

import errno

import aiohttp
import httpx2
import pytest
import requests
import torch
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ProfileNotFound
from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError
from pyarrow import ArrowInvalid

from gradpipe.system.failures import Cause, caused_by, connection_failed, failed_with


def chained(error: Exception) -> Exception:
    """The error as the cause of another, as libraries raise it."""
    try:
        try:
            raise error
        except Exception as cause:
            raise OSError("We could not load it.") from cause
    except OSError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"),
        TimeoutError("late"),
        requests.ConnectionError("refused"),
        requests.ReadTimeout("late"),
        aiohttp.ServerDisconnectedError(),
        httpx2.ConnectTimeout("late"),
    ],
)
def test_a_network_that_does_not_answer_is_known_by_whoever_says_it(error: Exception) -> None:
    assert failed_with(error, Cause.CONNECTION_FAILED)
    assert connection_failed(chained(error))


@pytest.mark.parametrize("error", [ValueError("no"), FileNotFoundError("gone"), OSError("no")])
def test_everything_else_is_no_network(error: Exception) -> None:
    assert not connection_failed(chained(error))


class Busy(Exception):
    status = 503


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (Cause.OUT_OF_MEMORY, MemoryError()),
        (Cause.OUT_OF_MEMORY, torch.OutOfMemoryError("CUDA out of memory.")),
        (Cause.OUT_OF_MEMORY, RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)")),
        (Cause.SERVER_BUSY, Busy()),
        (Cause.FULL_DISK, OSError(errno.ENOSPC, "No space left on device")),
        (Cause.FULL_DISK, OSError(errno.EDQUOT, "Disk quota exceeded")),
        (Cause.NOT_ON_HUB, GatedRepoError.__new__(GatedRepoError)),
        (Cause.NOT_ON_HUB, RevisionNotFoundError.__new__(RevisionNotFoundError)),
        (Cause.NO_SUCH_FILE, FileNotFoundError("gone")),
        (Cause.UNREADABLE_TABLE, ArrowInvalid("not a Parquet file")),
        (Cause.NO_SAFETENSORS, OSError("no file, and use_safetensors is set")),
        (Cause.CUSTOM_CODE, ValueError("contains custom code which must be executed")),
        (Cause.STORE_CREDENTIALS, NoCredentialsError()),
        (Cause.STORE_CREDENTIALS, ProfileNotFound(profile="x")),
        (Cause.STORE_UNREACHABLE, EndpointConnectionError(endpoint_url="http://x")),
        (Cause.STORE_DENIED, PermissionError("Forbidden")),
        (Cause.STORE_BUSY, OSError(errno.EBUSY, "SlowDown")),
    ],
    ids=lambda value: value.name if isinstance(value, Cause) else type(value).__name__,
)
def test_a_cause_is_recognized_in_an_error_and_in_its_chain(cause: Cause, error: Exception) -> None:
    assert failed_with(error, cause)
    assert caused_by(chained(error), cause)
    assert not failed_with(OSError("other"), cause)
    assert not failed_with(chained(ValueError("other")), cause)


def test_a_message_about_memory_counts_in_a_runtime_error_only() -> None:
    assert not failed_with(ValueError("out of memory"), Cause.OUT_OF_MEMORY)
    assert not failed_with(RuntimeError("shapes cannot be multiplied"), Cause.OUT_OF_MEMORY)
    assert not caused_by(None, Cause.OUT_OF_MEMORY)
