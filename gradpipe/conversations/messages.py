"""Read the messages of a conversation, and check that it can be trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from gradpipe.conversations.cells import RowError, kind_of, parsed, without_nulls
from gradpipe.conversations.examples import Message
from gradpipe.conversations.sharegpt import from_sharegpt
from gradpipe.conversations.think_blocks import THINK_MARKS, join_thinking

#: Roles of the results of tool calls.
TOOL_ROLES = ("tool", "function", "ipython")
#: Roles of messages to which a model responds; every other role may be a template's own.
PROMPT_ROLES = ("user", "system", "developer", *TOOL_ROLES)
#: Keys of a message that hold the thinking before its content.
THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")

_TEXT_PARTS = (None, "text", "input_text", "output_text")
_THINKING_PARTS = ("thinking", "reasoning")
#: How messages begin as JSON text: a list of objects, or an object of lists.
MESSAGES_JSON = r'^\s*\[\s*\{[\s\S]*"(?:role|from)"\s*:|^\s*\{[\s\S]*"(?:role|from)"\s*:\s*\['
#: How a single message begins as JSON text.
MESSAGE_JSON = r'^\s*\{[\s\S]*"(?:role|from)"\s*:'
_MESSAGES_JSON = re.compile(MESSAGES_JSON)


def look_like_messages(cell: Any) -> bool:
    """Whether a cell is a list of messages, or a text that holds one as JSON."""
    if isinstance(cell, str):
        value = parsed(cell) if _MESSAGES_JSON.match(cell) else None
        return not isinstance(value, str) and look_like_messages(value)
    if isinstance(cell, Mapping):
        return any(isinstance(cell.get(key), list) for key in ("role", "from"))
    first = parsed(cell[0]) if isinstance(cell, (list, tuple)) and cell else None
    return isinstance(first, Mapping) and ("role" in first or "from" in first)


def read_messages(cell: Any, column: str) -> list[Message]:
    """The messages in a cell, in the form that chat templates read.

    The cell is a list of objects, an object of lists, or a text in JSON; so may be each object.
    Contents become texts; the text of parts is joined. ``content`` is null only beside tool calls.
    Nulls of other keys are left out, and everything else is kept.

    Raises RowError if the cell holds anything else, or a message has no role or no text.
    """
    value = without_nulls(parsed(cell))
    if isinstance(value, list):
        # `datasets` writes objects of different kinds as texts in JSON; some readers leave them so.
        value = [without_nulls(parsed(one)) for one in value]
    messages = _transposed(value) if isinstance(value, dict) else value
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise RowError(f"the column `{column}` holds {kind_of(value)}, not a list of messages")
    if not messages:
        raise RowError(f"the column `{column}` holds no message")
    return [_read(message, f"message {number}") for number, message in enumerate(messages, 1)]


def check_conversation(messages: Sequence[Message]) -> None:
    """Raise RowError for a conversation that no fine-tuning run could learn from as it is.

    It has an empty turn or a tool call without an answer, does not end with a response, or the
    response does not close its think block. Whether roles may follow each other is up to the chat
    template.
    """
    for number, message in enumerate(messages, 1):
        _check_turn(message, f"message {number}")
    for number, message in enumerate(messages[:-1], 1):
        if message.get("tool_calls"):
            answers = takewhile(lambda one: one["role"] in TOOL_ROLES, messages[number:])
            _check_answers(message["tool_calls"], list(answers), f"message {number}")
    last = messages[-1]
    if last["role"] in PROMPT_ROLES:
        raise RowError(
            f"the conversation ends with a message of the role {last['role']!r}, not a response"
        )
    check_think_block(last.get("content") or "")


def check_think_block(response: str) -> None:
    """Raise RowError if a response begins with a think block that it does not close."""
    text = response.lstrip()
    for opening, closing in THINK_MARKS.items():
        if text.startswith(opening) and closing not in text:
            raise RowError(f"the response opens a think block ({opening}) and does not close it")


def _transposed(columns: dict[str, Any]) -> Any:
    """An object of lists, as ``datasets`` stores a sequence of objects, as a list of objects."""
    lists = list(columns.values())
    if not lists or not all(isinstance(one, list) for one in lists):
        return columns
    if len({len(one) for one in lists}) > 1:
        raise RowError("the lists of roles and contents have different lengths")
    rows = zip(*lists, strict=True)
    return [without_nulls(dict(zip(columns, row, strict=True))) for row in rows]


def _read(message: dict[str, Any], name: str) -> Message:
    try:
        if "role" not in message and "from" in message:
            message = from_sharegpt(message)
        role = message.get("role")
        if not isinstance(role, str) or not role:
            raise RowError(f"the role is {kind_of(role)}, not a text" if role else "it has no role")
        content, thinking = _content(message.get("content"), role)
        calls = _tool_calls(message.get("tool_calls"))
    except RowError as error:
        raise RowError(f"{name}: {error}") from error
    if content is None and not calls:
        content = ""
    more: dict[str, Any] = {"reasoning_content": thinking} if thinking else {}
    if calls is not None:
        more["tool_calls"] = calls
    return {**message, "content": content, **more}


def _tool_calls(cell: Any) -> list[dict[str, Any]] | None:
    """The tool calls of a message, which may be a text in JSON; None if it has none."""
    calls = parsed(cell) or None if isinstance(cell, str) else cell
    if calls is not None and not (
        isinstance(calls, list) and all(isinstance(call, dict) for call in calls)
    ):
        raise RowError(f"its `tool_calls` are {kind_of(calls)}, not a list of objects")
    return calls


def _content(content: Any, role: str) -> tuple[Any, str]:
    """The text of a message, and the thinking among its parts."""
    if content is None or isinstance(content, str):
        return content, ""
    if isinstance(content, (int, float)):
        return json.dumps(content), ""
    parts = [content] if isinstance(content, dict) else content
    if role in TOOL_ROLES and not all(isinstance(one, dict) and "type" in one for one in parts):
        # The result of a tool, which templates write as JSON.
        return content, ""
    texts, thinking = [], []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part if isinstance(part, str) else None
        if isinstance(part, dict) and kind in _TEXT_PARTS:
            text = part.get("text", "" if kind else None)
        if isinstance(text, str):
            texts.append(text)
        elif kind in _THINKING_PARTS:
            inner = part.get(kind, part.get("text", ""))
            thinking.append(inner if isinstance(inner, str) else _content(inner, role)[0])
        else:
            raise RowError(
                f"its content has a part of the type {str(kind)[:40]!r}, and only text is read"
                if kind
                else f"a part of its content is {kind_of(part)} without `type` and `text`"
            )
    return "".join(texts), "".join(thinking)


def _check_turn(message: Message, name: str) -> None:
    content = message.get("content")
    given = [content, *(message.get(key) for key in ("tool_calls", *THINKING_KEYS))]
    # Templates write an empty system message, and tools may return nothing.
    may_be_empty = message["role"] in PROMPT_ROLES and message["role"] != "user"
    if not may_be_empty and not any(one.strip() if isinstance(one, str) else one for one in given):
        raise RowError(f"{name}, of the role {message['role']!r}, is empty")
    for text in (one for one in given if isinstance(one, str)):
        if lone := re.search("[\ud800-\udfff]", text):
            raise RowError(f"{name} is not valid Unicode (lone surrogate U+{ord(lone[0]):04X})")


def _check_answers(
    calls: Sequence[Mapping[str, Any]], answers: Sequence[Message], name: str
) -> None:
    """Raise RowError unless tool messages follow a message's calls, with all of their ids."""
    wanted = [call["id"] for call in calls if "id" in call]
    answered = [answer["tool_call_id"] for answer in answers if "tool_call_id" in answer]
    if not answers or (answered and any(call not in answered for call in wanted)):
        raise RowError(f"{name} has a tool call without an answer")


def response_text(message: Message) -> str:
    """The text of a response: its thinking, if it has any apart, as a think block before it."""
    content = content_text(message)
    thinking = thinking_text(message)
    return join_thinking(thinking, content) if thinking else content


def content_text(message: Message) -> str:
    """The text of a message's content, which may be a list of parts."""
    content: Any = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def thinking_text(message: Message) -> str:
    """The thinking that a message has in a field of its own; an empty text without any."""
    return next((str(message[name]) for name in THINKING_KEYS if message.get(name)), "")
