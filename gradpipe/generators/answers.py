"""The outcome of a call: an answer, or the reason for a missing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from gradpipe.generators.budget import TokenPrice
from gradpipe.generators.calls import CALL_SCHEMA


@dataclass(frozen=True)
class GeneratedAnswer:
    """A generated answer with its tokens and seconds; counts are None if the server gave none.

    ``reasoning`` is the thinking before the answer, None for a response without it. ``text`` is
    empty if the response ended within its thinking. ``cut`` is what was cut from the text: a stop
    token that the server left in it, and what follows. ``answered_by`` and ``fingerprint`` are the
    model and the configuration that the server names. ``cost`` is what the server itself reports,
    until ``priced`` fills it in.
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


def priced(outcomes: list[Outcome], price: TokenPrice | None) -> list[Outcome]:
    """Fill in the cost of each answer: the server's own, else that of its tokens at ``price``.

    None if the server reports no cost, and there is no price or no count of tokens.
    """
    return [
        replace(outcome, result=replace(outcome.result, cost=_cost(outcome.result, price)))
        if isinstance(outcome.result, GeneratedAnswer)
        else outcome
        for outcome in outcomes
    ]


def _cost(answer: GeneratedAnswer, price: TokenPrice | None) -> float | None:
    tokens = answer.prompt_tokens, answer.response_tokens
    if answer.cost is not None or price is None or None in tokens:
        return answer.cost
    return price.cost(answer.prompt_tokens or 0, answer.response_tokens or 0)


def answer_rows(outcomes: list[Outcome]) -> pl.DataFrame:
    """Return the answered calls as rows (CALL_SCHEMA), created now; failures are skipped."""
    now = datetime.now(UTC)
    rows = [
        {**outcome.call, **vars(outcome.result), "created": now, "error": None}
        for outcome in outcomes
        if isinstance(outcome.result, GeneratedAnswer)
    ]
    return pl.DataFrame(rows, schema=CALL_SCHEMA)
