"""Whatever a table holds, it is read as examples or refused by an error that says why."""

import json
from contextlib import suppress
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.table_files import parse_table
from gradpipe.conversations.examples import Example
from gradpipe.conversations.formats import FORMAT_KINDS
from gradpipe.errors import DataError
from gradpipe.standalone.user_examples import examples_of_table, texts_of_examples, to_examples

KEYS = ("role", "content", "from", "value", "tool_calls", "name", "start", "end", "type", "text")
WORDS = ("user", "assistant", "gpt", "tool", "<think>", "[]", '[{"role": "user"}]', "", "text")
scalars = st.none() | st.booleans() | st.integers(-101, 9) | st.sampled_from(WORDS) | st.floats()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(WORDS)},
    optional={"content": values, "tool_calls": values, "name": values},
)
numbers = st.lists(st.integers(-101, 9) | st.none(), max_size=3)
cells = values | st.lists(message, max_size=3) | numbers


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with the columns of one format, and any cells."""
    kind = draw(st.sampled_from(FORMAT_KINDS))
    optional = {role: cells for role in kind.roles if role not in kind.required}
    row = st.fixed_dictionaries(dict.fromkeys(kind.required, cells), optional=optional)
    return draw(st.lists(row, min_size=1, max_size=3))


@settings(max_examples=300, deadline=None)
@given(tables())
def test_rows_of_any_values_are_read_or_refused(rows: list[dict[str, Any]]) -> None:
    with suppress(DataError):
        table = parse_table("\n".join(map(json.dumps, rows)).encode(), "data.jsonl")
        examples = examples_of_table(table, "data.jsonl")
        assert len(examples) == len(rows)
        assert texts_of_examples(examples).height == len(rows)
        assert all(isinstance(example, Example) for example in examples)
    with suppress(DataError):
        assert len(to_examples(rows)) == len(rows)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(values, max_size=3), min_size=1, max_size=3))
def test_objects_of_any_values_are_read_or_refused(elements: list[Any]) -> None:
    with suppress(DataError):
        assert len(to_examples(elements)) == len(elements)


def test_messages_nested_too_deeply_are_unusable() -> None:
    deep = "[" * 600 + "]" * 600
    cells = [f'[{{"role": "tool", "content": {deep}}}]', '[{"role": "assistant", "content": "a"}]']
    bad, good = examples_of_table(pl.DataFrame({"messages": cells}), "data")
    assert "deeply" in getattr(bad, "reason", "")
    assert not hasattr(good, "reason")
