"""The condition of ``--where``: an expression of Polars SQL that each row decides by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from gradpipe.errors import DataError

#: The kinds of parts of an expression, as Polars serializes them, that read several rows.
_KINDS_OVER_ROWS = {"Agg", "Over", "Rolling", "Gather", "Filter", "Sort", "SortBy", "Slice"}
_FUNCTIONS_OVER_ROWS = {"Correlation"}


def parse_condition(where: str) -> pl.Expr:
    """Parse a condition over the columns of one row.

    Raises DataError if it is invalid, or if other rows count in it: the rows of large data are read
    a batch at a time, and an average of a batch is not that of the data.
    """
    try:
        condition = pl.sql_expr(where)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"--where {where!r} is invalid ({reason}): write a condition in SQL, for example "
            "\"source = 'gsm8k'\"."
        ) from error
    if any(map(_reads_other_rows, _parts(condition))):
        raise DataError(
            f"--where {where!r} has an aggregate or a window function, and each row is decided by "
            "itself: compute the value first, and compare with the number, for example "
            '"score > 0.5".'
        )
    return condition


def _parts(expression: pl.Expr) -> Iterator[pl.Expr]:
    """The expression and everything that it is made of; long chains nest deeply."""
    left = [expression]
    while left:
        part = left.pop()
        yield part
        left += part.meta.pop()


def _reads_other_rows(part: pl.Expr) -> bool:
    """Whether a part of an expression, apart from what it is made of, needs several rows."""
    if part.meta.is_literal():
        return False
    try:
        return not part.meta.is_row_separable() and not _is_of_elements(part)
    except pl.exceptions.PolarsError:
        # Polars cannot tell without the types of the columns, as of `max(n % 2)`.
        return _is_serialized_over_rows(part)


def _is_of_elements(part: pl.Expr) -> bool:
    """Whether a part is about the elements of a list in one row, as in `array_unique(tags)`."""
    parts = list(_parts(part))
    return any(str(one) == "element()" for one in parts) and not part.meta.root_names()


def _is_serialized_over_rows(part: pl.Expr) -> bool:
    ((kind, content),) = json.loads(part.meta.serialize(format="json")).items()
    function = content.get("function") if kind == "Function" else None
    named = set(function) if isinstance(function, dict) else {function}
    return kind in _KINDS_OVER_ROWS or not named.isdisjoint(_FUNCTIONS_OVER_ROWS)
