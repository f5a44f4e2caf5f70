"""Run a function that waits for a disk or the network on many items at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Requests at a time: each waits for the storage rather than for a core.
MAX_REQUESTS = 16


def map_concurrently(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in the order of the items; at most MAX_REQUESTS are in memory."""
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            if len(pending) == MAX_REQUESTS:
                yield pending.popleft().result()
            pending.append(pool.submit(function, item))
        while pending:
            yield pending.popleft().result()
