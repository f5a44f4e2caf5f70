"""What a server says in an error, in whichever of the known forms it says it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gradpipe.generators.retries import read_retry_after, read_retry_text

#: Where the text of an error is, the outermost first.
_TEXT_FIELDS = ("message", "msg", "detail", "details", "error", "errors", "error_message", "title")
_CODE_FIELDS = ("code", "type", "status", "error_type", "error_code", "reason")
#: Where OpenRouter and gateways put what the provider behind them said.
_UPSTREAM = "Provider returned error"


@dataclass(frozen=True)
class ErrorDetail:
    """An error's own words: its message, its status inside the body, and its codes and field.

    ``codes`` are its codes and types, as lower-case texts; ``param`` is the field of the request
    that it names; ``retry_after`` is in seconds.
    """

    message: str = ""
    status: int | None = None
    codes: frozenset[str] = frozenset()
    param: str = ""
    retry_after: float | None = None


def read_error_detail(body: object, headers: Mapping[str, str] | None = None) -> ErrorDetail:
    """Read an error's body: parsed JSON, or the text of a body that is not JSON."""
    if isinstance(body, str):
        body = _parsed(body)
    message = _message(body)
    levels = [*_mappings(body)]
    codes = [
        str(value)
        for level in levels
        for field in _CODE_FIELDS
        if isinstance(value := level.get(field), str | int) and not isinstance(value, bool)
    ]
    params = [level["param"] for level in levels if isinstance(level.get("param"), str)]
    wait = read_retry_after(_lower({**_headers_within(levels), **(headers or {})}))
    return ErrorDetail(
        message,
        next((status for code in codes if (status := _status(code)) is not None), None),
        frozenset(code.lower() for code in codes),
        next(iter(params), ""),
        wait if wait is not None else _wait_within(levels, message),
    )


def holds_error(body: object) -> bool:
    """Return whether a body of status 200 is an error: it has one, or no choices but a message."""
    if not isinstance(body, Mapping) or body.get("choices"):
        return False
    texts = (body.get("message"), body.get("detail"))
    return bool(body.get("error")) or any(isinstance(text, str | list) and text for text in texts)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _mappings(body: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if isinstance(body, Mapping) and depth < 5:
        yield body
        for field in ("error", "detail", "message"):
            yield from _mappings(body.get(field), depth + 1)


def _message(body: object, depth: int = 0) -> str:
    """Return the text of an error; pages in HTML have none that is worth repeating."""
    if isinstance(body, str):
        return _text(body, depth)
    if isinstance(body, list):
        return "; ".join(filter(None, (_item(item, depth) for item in body[:5])))
    if not isinstance(body, Mapping) or depth > 4:
        return ""
    for field in ("error", *_TEXT_FIELDS):
        text = _message(body.get(field), depth + 1)
        if text:
            return f"{text}: {more}" if (more := _upstream(body, text)) else text
    return ""


def _text(body: str, depth: int) -> str:
    text = body.strip()
    if text.startswith("<"):
        return ""
    # Gateways repeat a server's JSON as a text.
    inner = _parsed(text) if text.startswith(("{", "[")) and depth < 4 else text
    return text if isinstance(inner, str) else _message(inner, depth + 1) or text


def _item(item: object, depth: int) -> str:
    """One of several errors, as FastAPI lists them: the place in the request and what is wrong."""
    text = _message(item, depth + 1)
    place = item.get("loc") if isinstance(item, Mapping) else None
    if not isinstance(place, list | tuple) or not text:
        return text
    return f"{'.'.join(str(part) for part in place if part != 'body') or 'body'}: {text}"


def _upstream(body: Mapping[str, Any], text: str) -> str:
    metadata = body.get("metadata")
    if text != _UPSTREAM or not isinstance(metadata, Mapping):
        return ""
    return _message(metadata.get("raw"))


def _status(code: str) -> int | None:
    """An HTTP status in a code; FastChat writes 42901 for its first kind of 429."""
    if not re.fullmatch(r"\d{3}|\d{5}", code):
        return None
    number = int(code[:3])
    return number if 400 <= number < 600 else None


def _headers_within(levels: list[Mapping[str, Any]]) -> dict[str, str]:
    for level in levels:
        metadata = level.get("metadata")
        headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
        if isinstance(headers, Mapping):
            return {str(name): str(value) for name, value in headers.items()}
    return {}


def _wait_within(levels: list[Mapping[str, Any]], message: str) -> float | None:
    for level in levels:
        for field in ("retry_after", "estimated_time"):
            value = level.get(field)
            if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
                return float(value)
    return read_retry_text(message)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
