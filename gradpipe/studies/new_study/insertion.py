"""Add a benchmark to the text of a study, whose comments and layout stay as they are."""

from __future__ import annotations

from typing import Any

import yaml

from gradpipe.errors import StudyError
from gradpipe.studies.new_study.text import scalar
from gradpipe.untrusted.yaml import compose_yaml


def with_benchmark(text: str, source: str, setting: str | dict[str, Any]) -> str:
    """The text of a study with one more entry at the end of its ``benchmarks``.

    Raises StudyError, which calls the study ``source``, if they are not a list.
    """
    entries = _benchmarks(compose_yaml(text))
    if entries is None:
        raise StudyError(f"The study {source} has no list of `benchmarks`: add the entry by hand.")
    if entries.flow_style:
        end = entries.end_mark.index - 1
        comma = ", " if entries.value and not text[:end].rstrip().endswith(",") else ""
        return f"{text[:end].rstrip()}{comma}{scalar(setting)}{text[end:]}"
    first, last = entries.value[0], entries.value[-1]
    dash = text.rfind("-", 0, first.start_mark.index)
    indent = " " * (dash - text.rfind("\n", 0, dash) - 1)
    lines = text.splitlines(keepends=True)
    number = _last_line(last) + 1
    if not lines[number - 1].endswith("\n"):
        lines[number - 1] += "\n"
    lines.insert(number, f"{indent}- {scalar(setting)}\n")
    return "".join(lines)


def _benchmarks(root: yaml.Node | None) -> yaml.SequenceNode | None:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next((value for key, value in pairs if key.value == "benchmarks"), None)
    return found if isinstance(found, yaml.SequenceNode) else None


def _last_line(node: yaml.Node) -> int:
    """The number of the line, from 0, in which a value ends: a block ends with its last value."""
    inside = isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)
    if not inside:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)
