"""YAML as a study needs it: plain values, each key once, and no larger than it looks."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

#: Bytes of a study file. The paper's own study is a hundredth of it.
LARGEST_STUDY = 2**18
#: Characters, and brackets, keys and values, of what a file says, each alias counted in full.
MOST_CHARACTERS = 2**20
MOST_VALUES = 50_000
#: Mappings and lists inside each other; a study has five.
DEEPEST = 40
#: Beyond it numbers are no settings, and most of what reads them overflows.
LARGEST_NUMBER = 2**63 - 1


def read_yaml(text: str) -> Any:
    """Parse a YAML text with the safe loader: plain values, no tags that make objects.

    Raises yaml.YAMLError for invalid YAML, a key that a mapping has twice, numbers that are not
    finite or beyond 64 bits, half a surrogate pair, nesting beyond DEEPEST, aliases that hold
    themselves, and aliases that multiply to more than MOST_VALUES or MOST_CHARACTERS.
    """
    import yaml

    return yaml.load(text, Loader=_loader())


@cache
def _loader() -> Any:
    """The safe loader, with these refusals; made here, since PyYAML is imported when it is used."""
    import yaml

    class Loader(yaml.SafeLoader):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.depth = self.values = self.characters = 0
            #: The values and characters of each node that is composed to its end.
            self.sizes: dict[yaml.Node, tuple[int, int]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            mark, alias = event.start_mark, isinstance(event, yaml.AliasEvent)
            before = self.values, self.characters
            self.depth += 1
            if self.depth > DEEPEST:
                raise _refused(f"more than {DEEPEST} mappings and lists inside each other", mark)
            node: Any = super().compose_node(parent, index)
            self.depth -= 1
            if alias and node not in self.sizes:
                raise _refused("an alias for what it is itself a part of", mark)
            values, characters = self.sizes[node] if alias else (1, _length(node))
            self.values, self.characters = self.values + values, self.characters + characters
            if self.values > MOST_VALUES or self.characters > MOST_CHARACTERS:
                raise _refused(
                    f"more than {MOST_VALUES} values or {MOST_CHARACTERS} characters, its aliases "
                    "counted in full",
                    mark,
                )
            if not alias:
                self.sizes[node] = (self.values - before[0], self.characters - before[1])
            return node

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    merge = key.tag == "tag:yaml.org,2002:merge"
                    value = "<<" if merge else self.construct_object(key)
                    if value in seen:
                        raise _refused(f"the key {_short(value)} twice", key.start_mark)
                    seen.add(value)
            return node

        def construct_scalar(self, node: Any) -> Any:
            value = super().construct_scalar(node)
            try:
                # JSON, which is YAML too, may write a character as a pair of surrogates.
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise _refused("half a surrogate pair", node.start_mark) from None

        def construct_yaml_int(self, node: Any) -> int:
            value: int = super().construct_yaml_int(node)
            if abs(value) > LARGEST_NUMBER:
                raise _refused("a number beyond 64 bits", node.start_mark)
            return value

        def construct_yaml_float(self, node: Any) -> float:
            value: float = super().construct_yaml_float(node)
            if not math.isfinite(value):
                raise _refused("a number that is not finite", node.start_mark)
            return value

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_yaml_float)
    return Loader


def _refused(problem: str, mark: Any) -> Exception:
    import yaml

    return yaml.MarkedYAMLError(problem=f"it has {problem}", problem_mark=mark)


def _length(node: Any) -> int:
    return len(node.value) if isinstance(node.value, str) else 0


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
