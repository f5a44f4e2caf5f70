"""The outcome of a call: an answer, or the reason for a missing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from gradpipe.generators.calls import CALL_SCHEMA


@dataclass(frozen=True)
class GeneratedAnswer:
    """A generated answer with its tokens and seconds; counts are None if the server gave none.

    ``reasoning`` is the thinking before the answer, None for a response without it. ``text`` is
    empty if the response ended within its thinking. ``cut`` is what was cut from the text: a stop
    token that the server left in it, and what follows. ``answered_by`` and ``fingerprint`` are the
    model and the configuration that the server names.
    """

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    response_tokens: int | None
    seconds: float
    reasoning: str | None = None
    reasoning_tokens: int | None = None
    cut: str | None = None
    answered_by: str | None = None
    fingerprint: str | None = None
    cost: float | None = None


@dataclass(frozen=True)
class CallFailure:
    """The reason why a call has no answer after all its attempts."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """A call (a row of PLAN_SCHEMA) and its result."""

    call: Mapping[str, Any]
    result: GeneratedAnswer | CallFailure

    @property
    def key(self) -> str:
        """The call's key."""
        return str(self.call["key"])


def answer_rows(outcomes: list[Outcome]) -> pl.DataFrame:
    """Return the answered calls as rows (CALL_SCHEMA), created now; failures are skipped."""
    now = datetime.now(UTC)
    rows = [
        {**outcome.call, **vars(outcome.result), "created": now, "error": None}
        for outcome in outcomes
        if isinstance(outcome.result, GeneratedAnswer)
    ]
    return pl.DataFrame(rows, schema=CALL_SCHEMA)
