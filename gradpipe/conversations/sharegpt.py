"""Messages in the ShareGPT form: ``from`` and ``value`` instead of ``role`` and ``content``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gradpipe.conversations.cells import RowError

#: The values of ``from``, and the roles that fine-tuning libraries give them.
SHAREGPT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


def from_sharegpt(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with ``from`` and ``value`` as one with ``role`` and ``content``.

    The JSON of a ``function_call`` becomes tool calls. Raises RowError for an unknown ``from``.
    """
    sender = message["from"]
    role = SHAREGPT_ROLES.get(sender.lower()) if isinstance(sender, str) else None
    if role is None:
        raise RowError(f"`from` is {str(sender)[:40]!r}, not {', '.join(SHAREGPT_ROLES)}")
    others = {key: value for key, value in message.items() if key not in ("from", "value")}
    content = message.get("value")
    calls = _calls(content) if sender.lower() == "function_call" else None
    if calls:
        return {"role": role, "tool_calls": calls, **others}
    return {"role": role, "content": content, **others}


def _calls(content: Any) -> list[dict[str, Any]] | None:
    """The tool calls that a text in JSON describes; None for any other text."""
    try:
        calls = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return None
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, Mapping) and "name" in call for call in calls):
        return None
    return [{"type": "function", "function": dict(call)} for call in calls]
