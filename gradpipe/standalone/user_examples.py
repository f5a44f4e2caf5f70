"""Training examples from what users have: texts, tuples, mappings, messages, or a table."""

import logging
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import polars as pl

from gradpipe.conversations.cells import without_nulls
from gradpipe.conversations.examples import Example, Pair, Unusable, texts_of
from gradpipe.conversations.formats import find_format
from gradpipe.conversations.messages import look_like_messages
from gradpipe.conversations.read_examples import read_examples, read_rows
from gradpipe.errors import DataError
from gradpipe.tables.json_rows import decode_json_columns, frame_of_objects

#: What the notebook functions accept as examples: a Polars frame or mappings in any of the formats
#: of data files, texts, (instruction, output) tuples, lists of messages, or finished examples.
Examples = pl.DataFrame | Sequence[str | Mapping[str, Any] | Sequence[Any] | Example]

_COLUMNS = ("instruction", "input", "output")
_ALL = "The list of examples"
_log = logging.getLogger(__name__)


def to_examples(
    examples: Examples,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> list[Example]:
    """Whatever ``examples`` are as a list of examples; see ``examples_of_table``.

    A list may mix texts, pairs, messages and mappings. An element of another kind is Unusable, with
    the reason, and a missing side of a pair is None. Raises DataError if no element is usable, and
    like ``examples_of_table``.
    """
    if isinstance(examples, str):
        raise DataError("The examples are a single text: give a list of texts, such as [text].")
    if isinstance(examples, pl.DataFrame):
        table = decode_json_columns(examples)
        return examples_of_table(table, "The data frame", columns, response_template)
    elements = list(examples)
    found: list[Example] = [_pair_or_unusable(element) for element in elements]
    for places in _tables_in(elements, alike=bool(columns) or response_template is not None):
        rows = [_object(elements[place], place) for place in places]
        table = frame_of_objects(rows)
        data_format = find_format(table, _ALL, columns)
        read = read_rows(table, data_format, _ALL, response_template=response_template)
        for place, example in zip(places, read, strict=True):
            found[place] = example
        _log.info("%s has %s.", _ALL, data_format.sentence())
    if found and all(isinstance(example, Unusable) for example in found):
        reason = next(example.reason for example in found if isinstance(example, Unusable))
        raise DataError(
            f"No example can be used (of example 0, {reason}): correct the examples, or name their "
            "columns (columns={...})."
        )
    return found


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
    pair = _pair(example)
    sides = {"instruction": pair.instruction, "output": pair.response}
    missing = [column for column, text in sides.items() if text is None]
    if missing:
        raise DataError(
            f"Example {number} has no {' and no '.join(missing)}: give each example an instruction "
            "and an output."
        )
    return pair


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


def _tables_in(elements: Sequence[Any], *, alike: bool) -> list[list[int]]:
    """The places of the elements that are rows of a table, one list per table.

    Other elements are pairs or finished examples. With ``alike``, all elements are one table.
    """
    if alike:
        return [list(range(len(elements)))] if elements else []
    places: dict[str, list[int]] = {"text": [], "messages": [], "mapping": []}
    for place, element in enumerate(elements):
        if (kind := _kind_of(element)) in places:
            places[kind].append(place)
    keys = {key for place in places["mapping"] for key in elements[place]}
    if {"instruction", "output"} <= keys:
        places["mapping"] = []
    if "messages" in keys:
        places["mapping"] = sorted(places["mapping"] + places.pop("messages"))
    return [table for table in places.values() if table]


def _kind_of(element: Any) -> str:
    """What an element of a list of examples is."""
    if isinstance(element, str):
        return "text"
    if isinstance(element, Mapping):
        return "mapping"
    return "messages" if look_like_messages(element) else ""


def _pair_or_unusable(element: Any) -> Example:
    """A finished example, or a pair, of which a side may be missing; Unusable for anything else."""
    if isinstance(element, Example):
        return element
    if isinstance(element, (tuple, list)) and len(element) == 2:
        element = dict(zip(("instruction", "output"), element, strict=True))
    if not isinstance(element, Mapping):
        return Unusable(
            f"its type is {type(element).__name__}, not a text, an (instruction, output) tuple, a "
            "list of messages or a mapping"
        )
    return _pair(element)


def _pair(row: Mapping[str, Any]) -> Pair:
    instruction, extra, output = (_text(row.get(column)) for column in _COLUMNS)
    if instruction is not None and extra and extra.strip():
        instruction = f"{instruction}\n{extra}"
    return Pair(instruction, output)


def _object(element: Any, number: int) -> dict[str, Any]:
    """An element as a row of a table."""
    if isinstance(element, Mapping):
        return {
            str(key): None if _is_missing(value) else without_nulls(value)
            for key, value in element.items()
        }
    if isinstance(element, str):
        return {"text": element}
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
