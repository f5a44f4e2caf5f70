"""A stream of events that a server sends although a whole answer was asked for."""

from __future__ import annotations

import json
from typing import Any

from gradpipe.generators.message_parts import REASONING_FIELDS

_JOINED = ("content", "text", *REASONING_FIELDS)


def is_event_stream(body: str) -> bool:
    """Return whether a body is a stream of events."""
    return body.lstrip().startswith(("data:", "event:", ": "))


def join_events(body: str) -> dict[str, Any] | None:
    """Join the chunks of a stream into one completion; None if it has none, or no end.

    An error among the chunks is returned alone. A stream without a finish reason or the mark
    ``[DONE]`` broke off.
    """
    lines = [line.removeprefix("data:").strip() for line in body.splitlines() if "data:" in line]
    chunks = [chunk for line in lines if isinstance(chunk := _parsed(line), dict)]
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    finish = None
    for chunk in chunks:
        if chunk.get("error"):
            return chunk
        whole |= {key: value for key, value in chunk.items() if value is not None}
        choice = next(iter(chunk.get("choices") or []), None)
        if isinstance(choice, dict):
            _add(message, choice)
            finish = choice.get("finish_reason") or finish
    if not message or (finish is None and "[DONE]" not in lines):
        return None
    return whole | {"choices": [{"message": message, "finish_reason": finish}]}


def _add(message: dict[str, Any], choice: dict[str, Any]) -> None:
    delta = choice.get("delta") or choice.get("message") or choice
    for field in _JOINED:
        piece: Any = delta.get(field) if isinstance(delta, dict) else None
        if type(piece) in (str, list):
            before: Any = message.get(field, type(piece)())
            message[field] = before + piece if type(before) is type(piece) else before


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
