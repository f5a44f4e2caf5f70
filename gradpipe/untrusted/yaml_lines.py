"""At which line of a YAML text a value is, for errors about it."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from gradpipe.untrusted.yaml import compose_yaml


class YamlLines:
    """The lines of a text's keys and entries."""

    def __init__(self, text: str) -> None:
        """Parse ``text``, which ``read_yaml`` could read; raises yaml.YAMLError like it."""
        self._root = compose_yaml(text)

    def at(self, place: Sequence[int | str]) -> int | None:
        """The line, from 1, of the last part of ``place`` that the text has; None if it has none.

        ``place`` are the keys and the numbers of entries that lead to a value.
        """
        node, line = self._root, None
        for part in place:
            found = _below(node, part)
            if found is None:
                break
            marked, node = found
            line = marked.start_mark.line + 1
        return line


def _below(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that marks a part of a place, and the node of its value."""
    if isinstance(node, yaml.MappingNode):
        pairs = ((key, value) for key, value in node.value if key.value == str(part))
        return next(pairs, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
