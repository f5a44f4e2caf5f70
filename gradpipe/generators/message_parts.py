"""A chat message's text and thinking, in the forms in which servers write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: The fields of a message with its thinking: of vLLM, SGLang and DeepSeek; of OpenRouter, gpt-oss
#: and newer versions of vLLM; of Ollama; and lists of parts of OpenRouter and LiteLLM.
REASONING_FIELDS = (
    *("reasoning_content", "reasoning", "thinking"),
    *("reasoning_details", "thinking_blocks"),
)
_THINKING_TYPES = ("thinking", "reasoning", "reasoning.text", "reasoning.summary", "thought")


class MessageParts(NamedTuple):
    """A message's text, None for no or null content, and its thinking, None if it has none."""

    text: str | None
    reasoning: str | None


def read_message(message: Mapping[str, Any]) -> MessageParts | None:
    """Read a message, or a text of the older completions; None for content of an unknown form.

    Parts of type thinking or reasoning are thinking. Halves of surrogate pairs are replaced.
    """
    content = message.get("content")
    if content is None:
        content = message.get("text")
    items = content if isinstance(content, list) else [content]
    if not all(item is None or isinstance(item, str | Mapping) for item in items):
        return None
    texts = [_visible(item) for item in items]
    known = [text for text in texts if text is not None]
    thoughts = [thought for item in items if (thought := _thought(item))]
    own = next(filter(None, (_field(message.get(name)) for name in REASONING_FIELDS)), None)
    reasoning = "\n\n".join(filter(None, [own, *thoughts]))
    return MessageParts(_whole("".join(known)) if known else None, _whole(reasoning) or None)


def called_tool(message: Mapping[str, Any]) -> str | None:
    """Return the name of the first tool that a message calls, or None."""
    calls = message.get("tool_calls") or message.get("function_call")
    first = calls[0] if isinstance(calls, list) and calls else calls
    if not isinstance(first, Mapping):
        return None
    function = first.get("function")
    named = function if isinstance(function, Mapping) else first
    return str(named.get("name") or "unknown")


def _visible(item: Any) -> str | None:
    """The text of one part of the content; None for thinking, images and calls."""
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping) or item.get("type") in _THINKING_TYPES:
        return None
    text = item.get("text")
    return text if isinstance(text, str) else None


def _thought(item: Any) -> str:
    if not isinstance(item, Mapping) or item.get("type") not in _THINKING_TYPES:
        return ""
    fields = ("thinking", "reasoning", "text", "summary", "content")
    return next(filter(None, (_flat(item.get(name)) for name in fields)), "")


def _field(value: Any) -> str:
    """The thinking in a field of its own: a text, or a list of parts."""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, list):
        return ""
    return "\n\n".join(filter(None, (_thought(item) for item in value)))


def _flat(value: Any) -> str:
    """A part's text: itself, or the texts of the parts in it."""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, list):
        return ""
    texts = [item.get("text") if isinstance(item, Mapping) else item for item in value]
    return "".join(text for text in texts if isinstance(text, str)).strip()


def _whole(text: str) -> str:
    """Join surrogate pairs, and replace halves of them, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
