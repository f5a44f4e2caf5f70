"""Send calls to a server, several at a time, and hand over each outcome as it arrives."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from gradpipe.errors import GradpipeError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.client import ChatClient
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger, token_bound
from gradpipe.generators.retries import wait_before_retry, wait_while_loading
from gradpipe.generators.secrets import redacted_logs

#: Seconds of one wait for outcomes: Ctrl-C does not end a wait on every system.
_INTERRUPTIBLE = 0.2


@contextmanager
def open_exchange(
    calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
) -> Iterator[Exchange]:
    """Open the connections to the server; calls in flight are canceled when the block ends.

    The requests run on a thread of their own: the caller's thread may have an event loop already,
    and a signal handler that raises there must not hit a request. Raises GradpipeError if the
    server's key is missing.
    """
    client = ChatClient(config)
    with redacted_logs(client.secrets), start_blocking_portal() as portal:
        exchange = Exchange(calls, config, ledger, client, portal)
        try:
            yield exchange
        finally:
            exchange.cancel()
            portal.call(client.close)


class Exchange:
    """Calls to a server, at most ``concurrency`` at a time.

    A call is sent when the outcome of an earlier one was taken, so at most ``concurrency`` paid
    answers are not stored yet, even if storing is slow.
    """

    def __init__(
        self,
        calls: list[dict[str, Any]],
        config: GeneratorConfig,
        ledger: Ledger,
        client: ChatClient,
        portal: BlockingPortal,
    ) -> None:
        self._waiting = iter(calls)
        self._in_flight: list[Future[Outcome | None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._config = config
        self._ledger = ledger
        self._client = client
        self._portal = portal
        self._settled = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._failed = False

    def outcomes(self, within: float = math.inf) -> Iterator[Outcome]:
        """Yield the outcome of each call as it arrives, for at most ``within`` seconds.

        An outcome counts as taken when the next one is requested; after an interruption, another
        iteration yields the outcomes that were not taken. Raises GradpipeError, once, if the server
        refuses every call; another iteration yields the calls in flight.
        """
        end = time.monotonic() + within
        self._drop_unsent()
        self._send()
        while self._in_flight and time.monotonic() < end:
            finished, _ = wait(self._in_flight, _INTERRUPTIBLE, FIRST_COMPLETED)
            for future in [future for future in self._in_flight if future in finished]:
                outcome = self._result(future)
                if outcome is not None:
                    yield outcome
                self._in_flight.remove(future)
                self._send()

    def stop(self, reason: str) -> None:
        """Send nothing more; calls in flight continue, but are not retried."""
        self._portal.call(self._stop, reason)

    def cancel(self) -> None:
        """Abandon the calls in flight."""
        self._portal.call(self._cancel_tasks)

    def _send(self) -> None:
        while len(self._in_flight) < self._config.concurrency and self._ledger.stopped is None:
            call = next(self._waiting, None)
            if call is None:
                return
            # Noted before it is sent: an interruption in between must not lose a paid answer.
            future: Future[Outcome | None] = Future()
            self._in_flight.append(future)
            self._portal.start_task_soon(self._run, call, future)

    def _drop_unsent(self) -> None:
        """Forget calls that an interruption kept from being sent."""
        # Tasks that were handed to the loop before this call have begun when it returns.
        self._portal.call(asyncio.sleep, 0)
        self._in_flight = [future for future in self._in_flight if _has_begun(future)]

    async def _run(self, call: Mapping[str, Any], future: Future[Outcome | None]) -> None:
        """Set the future to a call's outcome, or to None if the call is abandoned."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._tasks.add(task)
        future.set_running_or_notify_cancel()
        try:
            future.set_result(await self._answer(call))
        except asyncio.CancelledError:
            future.set_result(None)
        # Whatever it is, the caller's thread raises it.
        except Exception as error:
            future.set_exception(error)
        finally:
            self._tasks.discard(task)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _result(self, future: Future[Outcome | None]) -> Outcome | None:
        """Return a finished call's outcome; None if it was not sent, or failed after another."""
        error = future.exception()
        if error is None:
            return future.result()
        if not self._failed:
            self._failed = True
            self._in_flight.remove(future)
            raise error
        return None

    async def _answer(self, call: Mapping[str, Any]) -> Outcome | None:
        """Send a call until it is answered or not worth retrying; None if the run stops first."""
        retrying = AsyncRetrying(
            retry=retry_if_result(_is_transient),
            stop=stop_after_attempt(self._config.attempts),
            wait=_wait,
            sleep=self._pause,
            retry_error_callback=_last_result,
        )
        result: GeneratedAnswer | FailedAttempt | None = await retrying(
            self._attempt, call, retrying.statistics
        )
        if isinstance(result, FailedAttempt):
            attempts = retrying.statistics["attempt_number"]
            suffix = f" (after {attempts} attempts)" if attempts > 1 else ""
            return Outcome(call, CallFailure(result.reason + suffix))
        return None if result is None else Outcome(call, result)

    async def _attempt(
        self, call: Mapping[str, Any], statistics: Mapping[str, Any]
    ) -> GeneratedAnswer | FailedAttempt | None:
        """Send a call once; None if the run stops before.

        It is sent again, as the same attempt, while the server loads its model, for as long as an
        answer may take; without a field that the server refuses; and, at the first attempt, if the
        server closed an idle connection.
        """
        end = time.monotonic() + self._config.timeout
        waits, again = 0, 0
        while True:
            result = await self._send_once(call)
            if not isinstance(result, FailedAttempt):
                return result
            if result.loading and self._stopping.is_set():
                return None
            if result.loading and time.monotonic() < end:
                waits += 1
                await self._pause(wait_while_loading(waits, result.retry_after))
            elif self._does_not_count(result, statistics) and again <= self._config.concurrency:
                again += 1
            else:
                break
        if result.loading:
            result = self._client.errors.still_loading(result)
        if result.cure is not None:
            error = f"The generator's server refuses every call ({result.reason}): {result.cure}."
            self._stop(error)
            raise GradpipeError(error)
        return result

    def _does_not_count(self, result: FailedAttempt, statistics: Mapping[str, Any]) -> bool:
        """Whether an attempt is repeated at once: the request did not reach the model."""
        first = statistics.get("attempt_number", 1) == 1
        return result.again and (first or result.refused is not None)

    async def _send_once(self, call: Mapping[str, Any]) -> GeneratedAnswer | FailedAttempt | None:
        tokens = token_bound(str(call["messages"]), int(call["max_tokens"]))
        if not await self._reserve(tokens):
            return None
        result = await self._client.ask(call)
        await self._settle(tokens, result)
        return result

    async def _reserve(self, tokens: int) -> bool:
        """Wait until the budget allows a request of ``tokens``; return False if it never will."""
        async with self._settled:
            while not self._ledger.reserve(tokens):
                if self._ledger.stopped is not None:
                    self._stopping.set()
                    return False
                await self._settled.wait()
        return True

    async def _settle(self, reserved: int, result: GeneratedAnswer | FailedAttempt) -> None:
        if isinstance(result, FailedAttempt):
            spent = reserved if result.billed else 0
        elif result.prompt_tokens is None or result.response_tokens is None:
            spent = reserved
        else:
            spent = result.prompt_tokens + result.response_tokens
        async with self._settled:
            self._ledger.settle(reserved, spent)
            self._settled.notify_all()

    async def _pause(self, seconds: float) -> None:
        """Wait before a retry, or until the run stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _stop(self, reason: str) -> None:
        self._ledger.stop(reason)
        self._stopping.set()


def _has_begun(future: Future[Any]) -> bool:
    return future.running() or future.done()


def _is_transient(result: object) -> bool:
    return isinstance(result, FailedAttempt) and result.transient


def _wait(state: RetryCallState) -> float:
    return wait_before_retry(state.attempt_number, _last_result(state).retry_after)


def _last_result(state: RetryCallState) -> Any:
    assert state.outcome is not None, "tenacity asks after an attempt"
    return state.outcome.result()
