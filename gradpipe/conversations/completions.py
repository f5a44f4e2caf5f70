"""Prompts and completions, as texts or messages, put together to one example."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from gradpipe.conversations.cells import RowError
from gradpipe.conversations.examples import Message

#: A prompt or a completion.
TextOrMessages = str | list[Message]


def join_messages(prompt: TextOrMessages, completion: TextOrMessages) -> tuple[list[Message], int]:
    """One conversation from a prompt and a completion, and its number of prompt messages.

    A text is a message of the user or the assistant. A completion may repeat the prompt. Raises
    RowError if the completion is another conversation than the prompt's.
    """
    if isinstance(completion, str):
        completion = [{"role": "assistant", "content": completion}]
    asked: list[Message] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    )
    if same_messages(completion, asked) == len(asked):
        return completion, len(asked)
    if completion[0]["role"] not in ("user", "system", "developer"):
        return [*asked, *completion], len(asked)
    before = list(takewhile(lambda one: one["role"] in ("system", "developer"), completion))
    if isinstance(prompt, str) and same_messages(completion[len(before) :], asked):
        return completion, len(before) + 1
    raise RowError(
        f"the completion begins with a message of the role {completion[0]['role']!r} that is not "
        "the prompt's"
    )


def same_messages(left: Sequence[Message], right: Sequence[Message]) -> int:
    """The number of messages at the start of both conversations that say the same."""
    pairs = zip(left, right, strict=False)
    return len(list(takewhile(lambda pair: _said(pair[0]) == _said(pair[1]), pairs)))


def divide_texts(chosen: str, rejected: str) -> tuple[str, str]:
    """The prompt that two texts begin with, and what ``chosen`` has beyond it.

    The prompt ends before a space that both texts have in front of their first difference, as it
    does in TRL's preference data.
    """
    pairs = zip(chosen, rejected, strict=False)
    length = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    if length and length < min(len(chosen), len(rejected)) and chosen[length - 1] == " ":
        length -= 1
    return chosen[:length], chosen[length:]


def _said(message: Message) -> tuple[Any, ...]:
    return message["role"], message.get("content"), message.get("tool_calls")
