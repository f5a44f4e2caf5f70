"""The marks of the blocks in which models think, and a response divided at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

#: The marks of the blocks in which models think, as templates write them: opening to closing. A
#: protocol's ``think_marks`` add to them.
THINK_MARKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|channel|>analysis<|message|>": "<|end|>",
}

#: What gpt-oss writes before the answer: the header of another channel.
_HEADER = re.compile(r"^\s*<\|start\|>assistant<\|channel\|>.*?<\|message\|>", re.DOTALL)


class Divided(NamedTuple):
    """A response divided: its thinking, and the answer that follows it."""

    thinking: str
    answer: str


def divide_at_thinking(response: str, marks: Mapping[str, str] = THINK_MARKS) -> Divided | None:
    """Divide a response that begins with a closed think block; None for any other response.

    The white space around both parts is dropped.
    """
    text = response.lstrip()
    for opening, closing in marks.items():
        if text.startswith(opening):
            thinking, closed, answer = text.removeprefix(opening).partition(closing)
            answer = _HEADER.sub("", answer, count=1)
            return Divided(thinking.strip(), answer.strip()) if closed else None
    return None


def own_closings(marks: Mapping[str, str] = THINK_MARKS) -> list[str]:
    """The closing marks that nothing but a think block has: ``<|end|>`` also ends turns."""
    return [closing for closing in marks.values() if closing != "<|end|>"]


def opens_thinking(prompt: str, marks: Mapping[str, str] = THINK_MARKS) -> bool:
    """Return whether a prompt ends with an opened think block."""
    return prompt.rstrip().endswith(tuple(marks))


def join_thinking(thinking: str, answer: str) -> str:
    """Write thinking and answer as one response, with the marks that most models use."""
    return f"<think>\n{thinking.strip()}\n</think>\n\n{answer.strip()}"
