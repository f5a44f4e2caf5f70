"""Training examples from what users have: tuples, mappings, lists of messages, or a table."""

import logging
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import polars as pl

from gradpipe.conversations.cells import without_nulls
from gradpipe.conversations.examples import Example, Pair, texts_of
from gradpipe.conversations.formats import find_format
from gradpipe.conversations.messages import look_like_messages
from gradpipe.conversations.read_examples import read_examples
from gradpipe.errors import DataError
from gradpipe.tables.json_rows import decode_json_columns, frame_of_objects

#: What the notebook functions accept as examples: a Polars frame or mappings in any of the formats
#: of data files, (instruction, output) tuples, lists of messages, or finished examples.
Examples = pl.DataFrame | Sequence[Mapping[str, Any] | Sequence[Any] | Example]

_COLUMNS = ("instruction", "input", "output")
_log = logging.getLogger(__name__)


def to_examples(
    examples: Examples,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> list[Example]:
    """Whatever ``examples`` are as a list of examples; see ``examples_of_table``.

    Raises DataError for an element of another kind, or a pair without a text on each side.
    """
    if isinstance(examples, pl.DataFrame):
        table = decode_json_columns(examples)
        return examples_of_table(table, "The data frame", columns, response_template)
    elements = list(examples)
    if elements and (columns or response_template is not None or _need_a_format(elements)):
        rows = [_object(element, number) for number, element in enumerate(elements)]
        table = frame_of_objects(rows)
        return examples_of_table(table, "The list of examples", columns, response_template)
    return [
        element if isinstance(element, Example) else to_pair(element, number)
        for number, element in enumerate(elements)
    ]


def to_pair(example: Any, number: int = 0) -> Pair:
    """One example as a pair; a non-empty ``input`` is joined to the instruction by a line break.

    Raises DataError, which calls the example by its ``number``, if it has no instruction or output.
    """
    if isinstance(example, (tuple, list)) and len(example) == 2:
        example = {"instruction": example[0], "output": example[1]}
    if not isinstance(example, Mapping):
        raise DataError(
            f"Example {number} is a {type(example).__name__}: give (instruction, output) tuples, "
            "mappings with the columns of a data file as keys, or lists of messages."
        )
    texts = {column: _text(example.get(column)) for column in _COLUMNS}
    instruction, extra, output = texts["instruction"], texts["input"], texts["output"]
    missing = [column for column in ("instruction", "output") if texts[column] is None]
    if missing:
        raise DataError(
            f"Example {number} has no {' and no '.join(missing)}: give each example an instruction "
            "and an output."
        )
    return Pair(f"{instruction}\n{extra}" if extra and extra.strip() else instruction, output)


def examples_of_table(
    table: pl.DataFrame,
    name: str,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> list[Example]:
    """The rows of a table as examples, in the format that its columns have; logs the format.

    ``columns`` are names of columns by role, as in ``find_format``; ``response_template`` divides
    texts, as in ``read_examples``. Raises DataError like both.
    """
    data_format = find_format(table, name, columns)
    examples = read_examples(table, data_format, name, response_template=response_template)
    _log.info("%s has %s.", name, data_format.sentence())
    return examples


def texts_of_examples(examples: Sequence[Example]) -> pl.DataFrame:
    """The columns ``instruction`` and ``response``, one row per example, null without a text."""
    texts = [texts_of(example) for example in examples]
    return pl.DataFrame(
        texts, schema={"instruction": pl.String, "response": pl.String}, orient="row"
    )


def _need_a_format(elements: Sequence[Any]) -> bool:
    """Whether the elements are rows of a table, rather than pairs or finished examples."""
    if not all(isinstance(one, Mapping) or look_like_messages(one) for one in elements):
        return False
    keys = {key for one in elements if isinstance(one, Mapping) for key in one}
    return not {"instruction", "output"} <= keys


def _object(element: Any, number: int) -> dict[str, Any]:
    """An element as a row of a table."""
    if isinstance(element, Mapping):
        return {
            str(key): None if _is_missing(value) else without_nulls(value)
            for key, value in element.items()
        }
    if look_like_messages(element):
        return {"messages": without_nulls(element)}
    pair = to_pair(element, number)
    return {"instruction": pair.instruction, "output": pair.response}


def _text(value: Any) -> str | None:
    """A value as text; None for a missing one."""
    return None if _is_missing(value) else str(value)


def _is_missing(value: Any) -> bool:
    """Whether a value is None, or one of NaN, NaT and NA, which pandas writes for None."""
    # NumPy's floats are real numbers too, but only its float64 is a float.
    nan = isinstance(value, Real) and math.isnan(value)
    return value is None or nan or type(value).__name__ in {"NAType", "NaTType"}
