"""Many calls at a time to a server, on a thread of their own, each answer handed over by itself."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from gradpipe.errors import GradpipeError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.client import ChatClient, FailedAttempt, wait_before_retry
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger, token_bound

_CLOSING = 5.0
_LISTENING = 0.2


@dataclass
class _Handed:
    """An outcome on its way to the caller; ``taken`` is set once the caller is done with it."""

    outcome: Outcome
    taken: Future[None] = field(default_factory=Future)


class Exchange:
    """Asks a server ``concurrency`` calls at a time; leaving the ``with`` ends whatever is left.

    A worker sends its next call when its last outcome was taken. So no more answers than there are
    workers are ever paid for and not yet kept, however slow the keeping is.
    """

    def __init__(
        self, calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
    ) -> None:
        self._calls = calls
        self._config = config
        self._ledger = ledger
        self._client = ChatClient(config)
        #: Not yet taken, in the order of their ends; None is the last.
        self._handed: deque[_Handed | BaseException | None] = deque()
        self._arrived = threading.Event()
        self._refused = False
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._everything: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="gradpipe-calls", daemon=True)

    @property
    def secrets(self) -> list[str]:
        """What must appear in no log while the exchange is open."""
        return self._client.secrets

    def __enter__(self) -> Exchange:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._on_loop(self._cancel)
        self._thread.join(_CLOSING)

    def stop(self, why: str) -> None:
        """Send nothing from now on; what is in flight goes on."""
        self._on_loop(self._stop, why)

    def outcomes(self, within: float | None = None) -> Iterator[Outcome]:
        """What became of each call, in the order of their ends; at most ``within`` seconds long.

        An outcome counts as taken when the next one is asked for. One that was not is the first of
        the next iteration: nothing is lost where the caller is interrupted. Raises GradpipeError
        for what every other call would meet as well; the outcomes behind it are still to be had.
        """
        end = math.inf if within is None else time.monotonic() + within
        while self._wait_for_one(end):
            # It stays at the head until it is taken: an interruption at any point loses nothing.
            head = self._handed[0]
            if head is None:
                return
            if isinstance(head, BaseException):
                self._handed.popleft()
                raise head
            yield head.outcome
            if not head.taken.done():
                head.taken.set_result(None)
            self._handed.popleft()

    def _wait_for_one(self, end: float) -> bool:
        """Wait until something was handed over; False where nothing was until ``end``."""
        while not self._handed:
            if time.monotonic() >= end:
                return False
            self._arrived.clear()
            if not self._handed:
                # Short waits: Ctrl-C does not end one on every system.
                self._arrived.wait(_LISTENING)
        return True

    def _hand(self, what: _Handed | BaseException | None) -> None:
        self._handed.append(what)
        self._arrived.set()

    def _serve(self) -> None:
        """The thread's whole life: all workers, then the end of the queue."""
        try:
            self._loop.run_until_complete(self._work_all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._hand(error)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._hand(None)

    async def _work_all(self) -> None:
        self._everything = asyncio.current_task()
        pending = iter(self._calls)
        count = min(self._config.concurrency, len(self._calls))
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(count):
                    workers.create_task(self._work(pending))
        finally:
            await self._client.close()

    async def _work(self, pending: Iterator[Mapping[str, Any]]) -> None:
        for call in pending:
            result = await self._answer(call)
            if result is None:
                return
            if isinstance(result, GradpipeError):
                self._stop(str(result))
                if not self._refused:
                    self._hand(result)
                self._refused = True
                return
            handed = _Handed(Outcome(call, result))
            self._hand(handed)
            await asyncio.wrap_future(handed.taken)

    async def _answer(
        self, call: Mapping[str, Any]
    ) -> GeneratedAnswer | CallFailure | GradpipeError | None:
        """The answer after as many attempts as it takes; None where the run stops before it."""
        most = token_bound(str(call["messages"]), int(call["max_tokens"]))
        for attempt in range(1, self._config.attempts + 1):
            if not await self._admitted(most):
                return None
            result = await self._client.ask(call)
            await self._settle(most, result)
            if isinstance(result, GeneratedAnswer):
                return result
            if result.cure is not None:
                return GradpipeError(
                    f"The generator's server refuses every call ({result.reason}): {result.cure}."
                )
            if not result.again or attempt == self._config.attempts:
                tries = f" (after {attempt} attempts)" if attempt > 1 else ""
                return CallFailure(result.reason + tries)
            await self._pause(wait_before_retry(attempt, result.asked))
        return None

    async def _admitted(self, tokens: int) -> bool:
        """Wait until the budget allows a request of ``tokens``; False when it never will."""
        async with self._changed:
            while not self._ledger.reserve(tokens):
                if self._ledger.stopped is not None:
                    self._stopping.set()
                    return False
                await self._changed.wait()
        return True

    async def _settle(self, reserved: int, result: GeneratedAnswer | FailedAttempt) -> None:
        if isinstance(result, FailedAttempt):
            spent = reserved if result.billed else 0
        elif result.prompt_tokens is None or result.response_tokens is None:
            spent = reserved
        else:
            spent = result.prompt_tokens + result.response_tokens
        async with self._changed:
            self._ledger.settle(reserved, spent)
            self._changed.notify_all()

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _stop(self, why: str) -> None:
        self._ledger.stop(why)
        self._stopping.set()

    def _cancel(self) -> None:
        if self._everything is not None:
            self._everything.cancel()

    def _on_loop(self, function: Any, *values: Any) -> None:
        # A loop that is closed has nothing left to stop.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *values)
