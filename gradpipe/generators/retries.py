"""When to retry: exponential backoff, unless the server sends Retry-After."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_DURATION = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)(?![a-z])",
    re.IGNORECASE,
)
# A request to wait "in 1m30s", "after 20 seconds" or "for 12.5s".
_WAIT = re.compile(
    rf"\b(?:try\s+again|retry|wait)\b[^.\d]{{0,40}}((?:{_DURATION.pattern}\s*)+)", re.IGNORECASE
)

#: Seconds of the first wait and of the longest one.
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
#: The longest wait that a server can ask for, in seconds.
LONGEST_RETRY_AFTER = 120.0
#: The longest wait for a model that loads, in seconds.
LONGEST_LOADING_WAIT = 5.0


def wait_before_retry(attempts: int, retry_after: float | None) -> float:
    """Return the seconds to wait after ``attempts`` failed attempts (from 1).

    Doubles each time unless the server sends ``retry_after``, in seconds. Up to half of it is
    subtracted at random, so that calls that failed together are not retried together.
    """
    if retry_after is not None and retry_after > 0:
        return min(retry_after, LONGEST_RETRY_AFTER)
    longest = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 30), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1)


def wait_while_loading(waits: int, retry_after: float | None) -> float:
    """Return the seconds before another request to a server that loads its model.

    ``waits`` counts from 1; ``retry_after`` is what the server asks for.
    """
    asked = LONGEST_LOADING_WAIT if retry_after is None else retry_after
    return min(FIRST_WAIT * 2.0 ** min(waits - 1, 30), asked, LONGEST_LOADING_WAIT)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response's headers ask to wait, or None.

    Reads ``Retry-After`` as seconds or as an HTTP date, ``retry-after-ms`` of some servers, and
    OpenRouter's ``X-RateLimit-Reset``, the milliseconds of the clock.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return seconds * unit
    reset = _number(headers.get("x-ratelimit-reset", ""))
    if reset is not None and reset > 1e12 and "retry-after" not in headers:
        return max(0.0, reset / 1e3 - time.time())
    try:
        return max(
            0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time()
        )
    except (TypeError, ValueError, OverflowError):
        return None


def read_retry_text(message: str) -> float | None:
    """Return the seconds that an error's message asks to wait, or None."""
    found = _WAIT.search(message)
    if found is None:
        return None
    return sum(float(number) * _unit(name) for number, name in _DURATION.findall(found[1]))


def _unit(name: str) -> float:
    if name.lower().startswith(("ms", "mil")):
        return 1e-3
    return {"s": 1.0, "m": 60.0, "h": 3600.0}[name[0].lower()]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
