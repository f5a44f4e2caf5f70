"""How long is waited before another attempt."""

import time
from email.utils import formatdate

import pytest

from gradpipe.generators import retries
from gradpipe.generators.retries import (
    read_retry_after,
    read_retry_text,
    wait_before_retry,
    wait_while_loading,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 99 Foo 2030 00:00:00 GMT"}, None),
    ],
)
def test_a_servers_wish_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


def test_a_date_is_read_as_the_time_until_then() -> None:
    date = formatdate(time.time() + 30, usegmt=True)
    assert read_retry_after({"retry-after": date}) == pytest.approx(30, abs=3)


def test_a_wish_is_granted_up_to_a_limit() -> None:
    assert wait_before_retry(1, 7.0) == 7.0
    assert wait_before_retry(1, 86_400.0) == retries.LONGEST_RETRY_AFTER


def test_waits_double_with_chance_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.5)
    for failed, longest in ((1, 0.5), (2, 1.0), (4, 4.0), (50, 30.0), (5000, 30.0)):
        waits = {wait_before_retry(failed, None) for _ in range(50)}
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(waits) > 10
    assert wait_before_retry(1, 0.0) > 0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 20s.", 20),
        ("Please try again in 1m30s.", 90),
        ("Please try again in 7m12.5s", 432.5),
        ("Try again in 6h2m.", 21_720),
        ("retry after 20 seconds", 20),
        ("Please retry in 12.5s.", 12.5),
        ("try again in 500ms", 0.5),
        ("You must wait 3 minutes.", 180),
        ("Please try again later. The limit is 20 s.", None),
        ("wait for 4 things", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_a_message(message: str, seconds: float | None) -> None:
    assert read_retry_text(message) == seconds


def test_the_end_of_a_limit_is_read_as_the_time_until_then() -> None:
    reset = str((time.time() + 30) * 1e3)
    assert read_retry_after({"x-ratelimit-reset": reset}) == pytest.approx(30, abs=3)
    assert read_retry_after({"x-ratelimit-reset": "60"}) is None


def test_waits_for_a_model_double_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.5)
    assert [wait_while_loading(waits, None) for waits in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 5.0]
    assert wait_while_loading(9, 0.25) == 0.25
    assert wait_while_loading(9, 600.0) == retries.LONGEST_LOADING_WAIT
