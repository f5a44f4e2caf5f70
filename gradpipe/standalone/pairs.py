"""Pairs from what users hold: mappings, tuples, or a table with named columns."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from gradpipe.errors import DataError, nearest
from gradpipe.gradients.tokens import Pair


def to_pair(example: Mapping[str, Any] | tuple[str, str], number: int = 0) -> Pair:
    """One example as a pair; a non-empty ``input`` is joined to the instruction with a newline.

    Raises DataError where it has no instruction or no output.
    """
    if isinstance(example, tuple):
        example = dict(zip(("instruction", "output"), example, strict=True))
    pair = _pair(example)
    sides = {"instruction": pair.instruction, "output": pair.response}
    missing = [name for name, text in sides.items() if text is None]
    if missing:
        raise DataError(
            f"Example {number} has no {' and no '.join(missing)}: give each example an instruction "
            "and an output."
        )
    return pair


def pairs_of_table(table: pl.DataFrame, name: str) -> list[Pair]:
    """A table's rows as pairs, None where a side is null: such a row is one that cannot be used.

    Raises DataError where the table is empty, or has no column of texts ``instruction`` or
    ``output``.
    """
    if table.is_empty():
        raise DataError(f"{name} has no rows: give at least one (instruction, output) pair.")
    for column in ("instruction", "output"):
        if column not in table.columns:
            raise DataError(
                f"{name} has no column {column!r}: {nearest(column, table.columns)} "
                "The extractor wants instruction, optional input, and output."
            )
    for column in ("instruction", "input", "output"):
        dtype = table.schema.get(column, pl.String())
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise DataError(
                f"Column {column!r} of {name} holds {dtype}, not text: write each of its values as "
                "one text."
            )
    return [_pair(row) for row in table.iter_rows(named=True)]


def _pair(row: Mapping[str, Any]) -> Pair:
    instruction, extra, output = (
        _text(row.get(name)) for name in ("instruction", "input", "output")
    )
    return Pair(
        f"{instruction}\n{extra}" if instruction is not None and extra else instruction, output
    )


def _text(value: Any) -> str | None:
    """A value as text; None where it stands for nothing, as pandas' NaN does."""
    nothing = value is None or (isinstance(value, float) and math.isnan(value))
    return None if nothing else str(value)
