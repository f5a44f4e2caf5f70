"""YAML as a study needs it: plain values, each key once, nothing that stands for more than it says.

A few lines of aliases can stand for billions of values, so anchors and aliases are refused.
"""

import math
from typing import Any

import yaml

#: Bytes of a study file. The paper's own study is a hundredth of it.
LARGEST_STUDY = 2**18
#: Brackets, keys and values; PyYAML reads ten thousand in a second.
MOST_VALUES = 50_000
#: Mappings and lists inside each other; a study has five.
DEEPEST = 40
#: Larger numbers are not useful as settings, and most code that reads them overflows.
LARGEST_NUMBER = 2**63 - 1


class RefusedYAMLError(yaml.MarkedYAMLError):
    """Valid YAML that a study must not contain; ``cure`` says what to do instead."""

    def __init__(self, problem: str, mark: yaml.Mark, cure: str) -> None:
        super().__init__(problem=problem, problem_mark=mark)
        self.line, self.cure = mark.line + 1, cure


def read_yaml(text: str) -> Any:
    """Parse a YAML text with the safe loader: plain values, no tags that make objects.

    Raises yaml.YAMLError for invalid YAML. Raises RefusedYAMLError for anchors, aliases and merge
    keys, a key that a mapping has twice, nesting beyond DEEPEST, more than MOST_VALUES values,
    numbers that are not finite or beyond 64 bits, and half a surrogate pair.
    """
    return yaml.load(text, Loader=_StudyLoader)


def compose_yaml(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, with their places in it; raises as ``read_yaml`` does."""
    node: yaml.Node | None = yaml.compose(text, Loader=_StudyLoader)
    return node


class _StudyLoader(yaml.SafeLoader):
    """The safe loader with these refusals."""

    _depth = _values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise _anchor_refusal(f"{sign}{event.anchor}", event.start_mark)
        if self._depth == DEEPEST:
            raise RefusedYAMLError(
                f"more than {DEEPEST} mappings and lists inside each other",
                event.start_mark,
                "close the brackets",
            )
        if self._values == MOST_VALUES:
            raise RefusedYAMLError(
                f"more than {MOST_VALUES} values", event.start_mark, "leave out some of them"
            )
        self._depth, self._values = self._depth + 1, self._values + 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _anchor_refusal(key_node.value, key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = self.construct_object(key_node)
            if key in keys:
                raise RefusedYAMLError(
                    f"the key {_short(key)} is there twice", key_node.start_mark, "remove one"
                )
            keys.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        try:
            # JSON, which is YAML too, may write a character as a pair of surrogates.
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise RefusedYAMLError(
                "half a surrogate pair", node.start_mark, "write the character itself"
            ) from None

    def construct_number(self, node: Any) -> float:
        """Construct a finite number of at most 64 bits."""
        number: float
        if node.tag.endswith(":int"):
            number, refused = self.construct_yaml_int(node), "beyond 64 bits"
            usable = abs(number) <= LARGEST_NUMBER
        else:
            number, refused = self.construct_yaml_float(node), "that is not finite"
            usable = math.isfinite(number)
        if not usable:
            raise RefusedYAMLError(f"a number {refused}", node.start_mark, "write a smaller one")
        return number


for _tag in ("int", "float"):
    _StudyLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _StudyLoader.construct_number)


def _anchor_refusal(sign: str, mark: yaml.Mark) -> RefusedYAMLError:
    return RefusedYAMLError(
        f"{_short(sign)} is an anchor, alias or merge key", mark, "write the values in full"
    )


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
