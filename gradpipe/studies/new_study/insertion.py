"""Add a benchmark to the text of a study, whose comments and layout stay as they are."""

from __future__ import annotations

from typing import Any

import yaml

from gradpipe.errors import StudyError
from gradpipe.studies.new_study.text import scalar
from gradpipe.untrusted.yaml import compose_yaml, read_yaml


def with_benchmark(text: str, source: str, setting: str | dict[str, Any]) -> str:
    """The text of a study with one more entry at the end of its ``benchmarks``.

    Raises StudyError, which calls the study ``source``, if they are not a list, or if it cannot be
    extended without a change of anything else.
    """
    entries = _benchmarks(compose_yaml(text))
    changed = None
    if entries is not None:
        add = _in_brackets if entries.flow_style else _in_lines
        changed = add(text, entries, scalar(setting))
    if changed is None or not _adds_only(text, changed, setting):
        reason = "no list of `benchmarks`" if entries is None else "an unusual list of `benchmarks`"
        raise StudyError(
            f"The study {source} has {reason}: add this entry by hand: {scalar(setting)}"
        )
    return changed


def _benchmarks(root: yaml.Node | None) -> yaml.SequenceNode | None:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next((value for key, value in pairs if key.value == "benchmarks"), None)
    return found if isinstance(found, yaml.SequenceNode) else None


def _in_brackets(text: str, entries: yaml.SequenceNode, entry: str) -> str | None:
    """The text with an entry behind the last one of a list in brackets.

    Comments and a comma may follow the last entry.
    """
    if entries.value:
        end = entries.value[-1].end_mark.index
        return f"{text[:end]}, {entry}{text[end:]}"
    start = entries.start_mark.index + 1
    return f"{text[:start]}{entry}{text[start:]}" if text[start - 1] == "[" else None


def _in_lines(text: str, entries: yaml.SequenceNode, entry: str) -> str | None:
    """The text with an entry in the line behind the last one of a list of dashes."""
    start = entries.start_mark
    if text[start.index] != "-":
        return None
    end = _end(entries)
    # A block of text ends where the next line begins.
    place = end.index if end.column == 0 else text.find("\n", end.index) + 1
    before, after = (text[:place], text[place:]) if place else (text, "")
    line_end = "\r\n" if "\r\n" in text else "\n"
    if not before.endswith("\n"):
        before += line_end
    return f"{before}{' ' * start.column}- {entry}{line_end}{after}"


def _end(node: yaml.Node) -> yaml.Mark:
    """Where a value ends: a block ends with its last value."""
    inside = isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)
    if not inside:
        return node.end_mark
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _adds_only(text: str, changed: str, setting: str | dict[str, Any]) -> bool:
    """Whether a changed study says the same as before, and has one more benchmark."""
    before = read_yaml(text)
    try:
        after = read_yaml(changed)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return bool(after == before | {"benchmarks": [*before["benchmarks"], setting]})
