"""When to retry: exponential backoff, unless the server sends Retry-After."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Seconds of the first wait and of the longest one.
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
#: The longest wait that a server can ask for, in seconds.
LONGEST_RETRY_AFTER = 120.0


def wait_before_retry(attempts: int, retry_after: float | None) -> float:
    """Return the seconds to wait after ``attempts`` failed attempts (from 1).

    Doubles each time unless the server sends ``retry_after``, in seconds. Up to half of it is
    subtracted at random, so that calls that failed together are not retried together.
    """
    if retry_after is not None and retry_after > 0:
        return min(retry_after, LONGEST_RETRY_AFTER)
    longest = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 30), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response's headers ask to wait, or None.

    Reads ``Retry-After`` as seconds or as an HTTP date, and ``retry-after-ms`` of some servers.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return seconds * unit
    try:
        return max(
            0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time()
        )
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
