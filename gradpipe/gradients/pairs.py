"""Pairs from what users hold: mappings, tuples, or a table with named columns."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from gradpipe.errors import DataError, nearest
from gradpipe.gradients.tokens import Pair


def to_pair(example: Mapping[str, Any] | tuple[str, str], number: int = 0) -> Pair:
    """One example as a pair; a non-empty ``input`` is joined to the instruction with a newline."""
    if isinstance(example, tuple):
        instruction, response = example
        return Pair(instruction, response)
    missing = [name for name in ("instruction", "output") if example.get(name) is None]
    if missing:
        raise DataError(
            f"Example {number} has no {' and no '.join(missing)}: give each example an instruction "
            "and an output."
        )
    extra = example.get("input") or ""
    instruction = f"{example['instruction']}\n{extra}" if extra else str(example["instruction"])
    return Pair(instruction, str(example["output"]))


def pairs_of_table(table: pl.DataFrame, name: str) -> list[Pair]:
    """A table's rows as pairs; raises DataError where ``instruction`` or ``output`` is missing."""
    if table.is_empty():
        raise DataError(f"{name} has no rows: give at least one (instruction, output) pair.")
    for column in ("instruction", "output"):
        if column not in table.columns:
            raise DataError(
                f"{name} has no column {column!r}: {nearest(column, table.columns)} "
                "The extractor wants instruction, optional input, and output."
            )
    return [to_pair(row, number) for number, row in enumerate(table.iter_rows(named=True))]
