"""How long to wait before a call is tried again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Seconds: the first wait of our own, the longest of our own, and the longest a server may ask for.
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LONGEST_ASKED = 120.0


def wait_before_retry(failed: int, asked: float | None) -> float:
    """Seconds to wait after ``failed`` attempts (from 1); ``asked`` is what the server asked for.

    Without a wish of the server's it doubles each time, less up to a half at random: calls that
    failed together do not come back together.
    """
    if asked is not None and asked > 0:
        return min(asked, LONGEST_ASKED)
    longest = min(FIRST_WAIT * 2.0 ** min(failed - 1, 30), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a response's headers ask to wait, or None where they ask for nothing.

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
