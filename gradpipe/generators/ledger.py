"""Count the requests and tokens of a run, within its budget."""

from __future__ import annotations

import json

from gradpipe.generators.budget import Budget

# A lower bound: English has four or five bytes per token, Chinese three.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8


class Ledger:
    """Requests and tokens so far; not thread-safe.

    A request in flight reserves the most tokens that it may cost, so that concurrent requests never
    exceed the budget together. When it ends, unused tokens are released.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._reserved = 0
        self._in_flight = 0
        self.requests = 0
        self.tokens = 0
        #: The reason, a sentence, why nothing more is sent; None while the run continues.
        self.stopped: str | None = None

    def reserve(self, tokens: int) -> bool:
        """Return whether a request of at most this many tokens may be sent; it then counts as sent.

        If it may not, either ``stopped`` is set or a request in flight has to end first.
        """
        limits = self._budget
        if self.stopped is not None:
            return False
        if limits.requests is not None and self.requests >= limits.requests:
            self.stop(_spent(f"{limits.requests} requests", "requests"))
            return False
        if limits.tokens is not None and self.tokens + self._reserved + tokens > limits.tokens:
            if not self._in_flight:
                self.stop(_spent(f"{limits.tokens} tokens", "tokens"))
            return False
        self.requests += 1
        self._in_flight += 1
        self._reserved += tokens
        return True

    def settle(self, reserved: int, spent: int) -> None:
        """Record that a request of ``reserve(reserved)`` ended and cost ``spent`` tokens."""
        self._in_flight -= 1
        self._reserved -= reserved
        self.tokens += spent

    def stop(self, why: str) -> None:
        """Send nothing more; the first reason is kept."""
        self.stopped = self.stopped or why


def token_bound(messages: str, max_tokens: int) -> int:
    """Return the most tokens of a call, prompt and response; ``messages`` as in PLAN_SCHEMA."""
    texts = [message["content"] for message in json.loads(messages)]
    prompt = sum(len(text.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE for text in texts)
    return prompt + max_tokens


def _spent(what: str, field: str) -> str:
    return (
        f"the budget of {what} does not allow another call: raise the generator's "
        f"budget.{field}, or run again to resume with a new budget."
    )
