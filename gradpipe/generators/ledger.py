"""What a run has sent and spent, and whether its budget lets it go on."""

from __future__ import annotations

import json

from gradpipe.generators.config import Budget

# Bytes of text that are surely more than a token's worth: English has four or five, Chinese three.
_BYTES_A_TOKEN = 3
_TOKENS_A_MESSAGE = 8


class Ledger:
    """Requests and tokens so far, for one thread.

    A request in flight holds back as many tokens as it may cost at most, so that several at a time
    never spend more than the budget together; what it did not use is given back when it ends.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._in_flight = 0
        self.requests = 0
        self.tokens = 0
        #: Why nothing is sent any more, in a sentence; None while the run goes on.
        self.stopped: str | None = None

    def reserve(self, tokens: int) -> bool:
        """Whether a request of at most this many tokens may be sent; it then counts as sent.

        Where it may not, either ``stopped`` says why, or a request in flight has to end first.
        """
        limits = self._budget
        if self.stopped is not None:
            return False
        if limits.requests is not None and self.requests >= limits.requests:
            self.stop(_spent(f"{limits.requests} requests", "requests"))
            return False
        if limits.tokens is not None and self.tokens + self._held + tokens > limits.tokens:
            if not self._in_flight:
                self.stop(_spent(f"{limits.tokens} tokens", "tokens"))
            return False
        self.requests += 1
        self._in_flight += 1
        self._held += tokens
        return True

    def settle(self, reserved: int, spent: int) -> None:
        """A request of ``reserve(reserved)`` has ended and has cost ``spent`` tokens."""
        self._in_flight -= 1
        self._held -= reserved
        self.tokens += spent

    def stop(self, why: str) -> None:
        """Send nothing from now on; the first reason stays."""
        self.stopped = self.stopped or why


def token_bound(messages: str, max_tokens: int) -> int:
    """At most what a call costs, prompt and response; ``messages`` is JSON, as in PLAN_SCHEMA."""
    texts = [message["content"] for message in json.loads(messages)]
    prompt = sum(len(text.encode()) // _BYTES_A_TOKEN + _TOKENS_A_MESSAGE for text in texts)
    return prompt + max_tokens


def _spent(what: str, field: str) -> str:
    return (
        f"the budget of {what} does not allow another call: raise the generator's "
        f"budget.{field}, or run again to go on with a fresh budget."
    )
