"""The types of a protocol's settings that divide responses into spans."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

#: How a response is divided; see ``row_spans``.
Division = Literal["think", "steps", "data", "final_answer"]
#: The divisions that have an answer, whose tokens can be counted.
_WITH_ANSWER = ("think", "final_answer")


def _pattern(pattern: str | None, settings: ValidationInfo) -> str | None:
    if pattern is not None:
        if settings.data.get("spans") != "steps":
            raise ValueError("it needs spans: steps")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"it is not a regular expression ({error})") from None
    return pattern


def _count(value: Any, settings: ValidationInfo) -> Any:
    if value is None:
        return None
    spans = settings.data.get("spans")
    if spans is None:
        raise ValueError("it needs spans")
    if value == "answer" and spans not in _WITH_ANSWER:
        raise ValueError(f"{spans} has no answer to count: give a number")
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if value != "answer" and not is_count:
        raise ValueError("input should be a whole number from 1, or answer")
    return value


#: A regular expression that starts a step, where responses are divided into steps.
StepPattern = Annotated[str | None, AfterValidator(_pattern)]
#: The number of tokens of the controls for length: a whole number, or as many as the answer has.
ControlTokens = Annotated[int | Literal["answer"] | None, BeforeValidator(_count)]
