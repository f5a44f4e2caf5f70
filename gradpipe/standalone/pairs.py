"""Instruction-output pairs from what users have: tuples, mappings, or a table."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import polars as pl

from gradpipe.benchmarks.table_files import join_input, text_column
from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError, nearest
from gradpipe.system.hashing import content_hash

#: What the notebook functions accept as examples: a Polars frame or mappings with the keys
#: ``instruction``, optional ``input`` and ``output``, or (instruction, output) tuples.
Examples = pl.DataFrame | Sequence[Mapping[str, Any] | tuple[str, str]]

_COLUMNS = ("instruction", "input", "output")


def to_pairs(examples: Examples) -> list[Pair]:
    """Any kind of ``examples`` as pairs; raises DataError for one without a text on each side."""
    if isinstance(examples, pl.DataFrame):
        return pairs_of_table(examples, "The data frame")
    return [to_pair(example, number) for number, example in enumerate(examples)]


def to_pair(example: Mapping[str, Any] | tuple[str, str], number: int = 0) -> Pair:
    """One example as a pair; a non-empty ``input`` is joined to the instruction by a line break.

    Raises DataError, which calls the example by its ``number``, if it has no instruction or output.
    """
    if isinstance(example, (tuple, list)) and len(example) == 2:
        example = {"instruction": example[0], "output": example[1]}
    if not isinstance(example, Mapping):
        raise DataError(
            f"Example {number} is a {type(example).__name__}: give (instruction, output) tuples, "
            "or mappings with the keys instruction, optional input, and output."
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


def pairs_of_table(table: pl.DataFrame, name: str) -> list[Pair]:
    """The rows of a table as pairs. A null side becomes None, which makes the pair unusable.

    Columns become text as in ``text_column``. Raises DataError if the table is empty, has no column
    ``instruction`` or ``output``, or one of ``instruction``, ``input`` and ``output`` holds no
    text.
    """
    if table.is_empty():
        raise DataError(f"{name} has no rows: give at least one (instruction, output) pair.")
    for column in ("instruction", "output"):
        if column not in table.columns:
            raise DataError(
                f"{name} has no column {column!r}: {nearest(column, table.columns)} "
                "The columns are instruction, optional input, and output."
            )
    texts = pl.DataFrame(
        [text_column(table, column, name) for column in _COLUMNS if column in table.columns]
    )
    if "input" in texts.columns:
        texts = texts.with_columns(instruction=join_input("instruction", "input"))
    return [
        Pair(row["instruction"], row["output"])
        for row in texts.select("instruction", "output").iter_rows(named=True)
    ]


def texts_of_pairs(pairs: list[Pair]) -> pl.DataFrame:
    """The columns ``instruction`` and ``response``, one row per pair."""
    texts = [{"instruction": pair.instruction, "response": pair.response} for pair in pairs]
    return pl.DataFrame(texts, schema={"instruction": pl.String, "response": pl.String})


def hash_pairs(pairs: list[Pair]) -> str:
    """A hash of all texts in their order: two tables with the same hash have the same pairs."""
    return content_hash([[pair.instruction, pair.response] for pair in pairs])


def _text(value: Any) -> str | None:
    """A value as text; None for a missing one, which pandas writes as NaN, NaT or NA."""
    # NumPy's floats are real numbers too, but only its float64 is a float.
    nan = isinstance(value, Real) and math.isnan(value)
    missing = value is None or nan or type(value).__name__ in {"NAType", "NaTType"}
    return None if missing else str(value)
