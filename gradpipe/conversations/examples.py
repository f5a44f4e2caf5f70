"""The kinds of training examples: a pair is the simplest, a conversation the general one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradpipe.system.hashing import ContentHash, content_hash

#: One turn, as chat templates read it: ``role`` and ``content``, and where there are any,
#: ``reasoning_content`` or ``thinking``, ``tool_calls``, ``tool_call_id`` and ``name``.
Message = Mapping[str, Any]


@dataclass(frozen=True)
class TextSpan:
    """A named stretch of a response: its characters from ``start`` up to but not ``end``."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Pair:
    """One (instruction, response) pair of texts; None for a missing text.

    ``joined``: the response continues the instruction's own text, as in a table of prompts and
    completions; without a chat template nothing is written between the two. ``spans`` are stretches
    of the response that the data name.
    """

    instruction: str | None
    response: str | None
    joined: bool = False
    spans: tuple[TextSpan, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """Messages, the last of which is the response.

    ``prompt_messages`` is the number of messages before the completion, where the data divide the
    two; by default all but the last. ``tools`` and ``template_settings`` are passed to the chat
    template. ``spans`` are stretches of the last message's text.
    """

    messages: tuple[Message, ...]
    prompt_messages: int | None = None
    tools: tuple[Any, ...] | None = None
    template_settings: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[TextSpan, ...] = ()


@dataclass(frozen=True)
class PlainText:
    """A text that no template wraps; its loss is on the characters from ``start`` on."""

    text: str
    start: int = 0


@dataclass(frozen=True)
class TokenIds:
    """A tokenized example: ``loss`` says for each of ``ids`` whether it carries loss."""

    ids: tuple[int, ...]
    loss: tuple[bool, ...]


@dataclass(frozen=True)
class Unusable:
    """A row of the data from which no example can be made, and why."""

    reason: str


Example = Pair | Conversation | PlainText | TokenIds | Unusable


def texts_of(example: Example) -> tuple[str | None, str | None]:
    """The instruction and the response to show a reader; None where there is no such text."""
    match example:
        case Pair():
            return example.instruction, example.response
        case Conversation():
            *before, last = example.messages
            asked = [message for message in before if message.get("role") == "user"]
            return (_shown(asked[-1]) if asked else None), _shown(last)
        case PlainText():
            return example.text[: example.start] or None, example.text[example.start :]
        case _:
            return None, None


def _shown(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def hash_examples(examples: Sequence[Example]) -> str:
    """A hash of all examples in their order: equal hashes are equal examples."""
    return content_hash([_content(example) for example in examples])


class ExamplesHash:
    """``hash_examples`` of examples that are added one after another."""

    def __init__(self) -> None:
        self._hash = ContentHash()

    def add(self, examples: Sequence[Example]) -> None:
        """Add examples in their order."""
        for example in examples:
            self._hash.add(_content(example))

    def hexdigest(self) -> str:
        """The hash of all examples that were added."""
        return self._hash.hexdigest()


def _content(example: Example) -> Any:
    if isinstance(example, Pair) and not example.joined and not example.spans:
        # As it has always been: files that were extracted earlier stay valid.
        return [example.instruction, example.response]
    return [type(example).__name__, json.dumps(vars(example), default=vars, sort_keys=True)]
