"""The outcome of a call: an answer, or the reason why the answer is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from gradpipe.generators.calls import CALL_SCHEMA


@dataclass(frozen=True)
class GeneratedAnswer:
    """A text that was written, with what it took; counts are None where nobody counted."""

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    response_tokens: int | None
    seconds: float


@dataclass(frozen=True)
class CallFailure:
    """Why a call has no answer, after all its attempts."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """A call (a row of PLAN_SCHEMA) and what became of it."""

    call: Mapping[str, Any]
    result: GeneratedAnswer | CallFailure

    @property
    def key(self) -> str:
        """The call's key."""
        return str(self.call["key"])


def answer_rows(outcomes: list[Outcome]) -> pl.DataFrame:
    """The answered calls as rows (CALL_SCHEMA), created now; failures are left out."""
    now = datetime.now(UTC)
    rows = [
        {**outcome.call, **vars(outcome.result), "created": now, "error": None}
        for outcome in outcomes
        if isinstance(outcome.result, GeneratedAnswer)
    ]
    return pl.DataFrame(rows, schema=CALL_SCHEMA)
