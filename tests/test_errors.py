"""The family of errors, and which of them another try may mend."""

import aiohttp
import httpx2
import pytest
import requests

from gradpipe.errors import DataError, GradpipeError, ModelError, connection_failed


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
    assert connection_failed(error)
    assert connection_failed(chained(error))


@pytest.mark.parametrize("error", [ValueError("no"), FileNotFoundError("gone"), OSError("no")])
def test_everything_else_is_no_network(error: Exception) -> None:
    assert not connection_failed(chained(error))


def test_errors_pass_only_where_they_say_so() -> None:
    assert not GradpipeError("no").transient
    assert ModelError("later", transient=True).transient
    assert str(DataError("later", transient=True)) == "later"
