"""What a row gives beside its messages: a system message, tools, template settings and spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from gradpipe.conversations.cells import RowError, kind_of, parsed, without_nulls
from gradpipe.conversations.examples import TextSpan


@dataclass(frozen=True)
class RowSettings:
    """A row's own system message, tools, and settings of the chat template."""

    system: str | None = None
    tools: tuple[Any, ...] | None = None
    template_settings: Mapping[str, Any] = field(default_factory=dict)


def read_settings(cells: Mapping[str, Any], columns: Mapping[str, str]) -> RowSettings:
    """The settings in a row's cells, which are by role, as the names of the ``columns`` are.

    Raises RowError unless the tools are a list and the template settings an object.
    """
    system = cells.get("system")
    return RowSettings(
        system=system if system and system.strip() else None,
        tools=_tools(cells.get("tools"), columns),
        template_settings=_template_settings(cells.get("chat_template_kwargs"), columns),
    )


def read_spans(
    cells: Mapping[str, Any], response: Any, columns: Mapping[str, str]
) -> tuple[TextSpan, ...]:
    """The spans of a row in the order of the response.

    Raises RowError for spans that overlap, lie outside of the response or share a name.
    """
    cell = without_nulls(parsed(cells.get("spans")))
    if cell is None:
        return ()
    if not isinstance(cell, list):
        raise RowError(f"the column `{columns['spans']}` holds {kind_of(cell)}, not a list")
    length = len(response) if isinstance(response, str) else 0
    spans = sorted((_span(one, length) for one in cell), key=lambda span: span.start)
    for left, right in pairwise(spans):
        if right.start < left.end:
            raise RowError(f"the spans {left.name!r} and {right.name!r} overlap")
    if len({span.name for span in spans}) < len(spans):
        raise RowError("two spans have the same name")
    return tuple(spans)


def _span(value: Any, length: int) -> TextSpan:
    match value:
        case {"name": str(name), "start": int(start), "end": int(end)} if name:
            if not 0 <= start < end <= length:
                raise RowError(
                    f"the span {name!r} from {start} to {end} is not within the response's "
                    f"{length} characters"
                )
            return TextSpan(name, start, end)
    raise RowError("a span has no `name` (a text), `start` and `end` (whole numbers)")


def _tools(cell: Any, columns: Mapping[str, str]) -> tuple[Any, ...] | None:
    # What a text in JSON says is kept whole; objects of a table have nulls of each other's keys.
    tools = parsed(cell) if isinstance(cell, str) else without_nulls(cell)
    if tools is None or tools == "":
        return None
    tools = [tools] if isinstance(tools, dict) else tools
    tools = [parsed(tool) for tool in tools] if isinstance(tools, list) else tools
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise RowError(f"the column `{columns['tools']}` does not hold a list of tools")
    return tuple(tools) or None


def _template_settings(cell: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    settings = parsed(cell) if isinstance(cell, str) else without_nulls(cell)
    if settings is None or settings == "":
        return {}
    if not isinstance(settings, dict):
        raise RowError(
            f"the column `{columns['chat_template_kwargs']}` holds {kind_of(settings)}, not an "
            "object"
        )
    return settings
