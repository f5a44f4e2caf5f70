"""The values of the page's tables, rounded as they are shown; the page's script formats them."""

import math
from typing import Any, Literal

import polars as pl

from gradpipe.report.tables.table import P_VALUE_COLUMNS, STYLE_COLUMNS, ReportTable

#: How the page's script writes a column: see FORMATS in choice.js.
ColumnKind = Literal["count", "layers", "number", "p", "style", "text"]


def column_kinds(frame: pl.DataFrame) -> list[ColumnKind]:
    """How each column of a table is written."""
    return [_kind(name, kind) for name, kind in frame.schema.items()]


def column_values(
    table: ReportTable, statistic: str | None = None, most: int | None = None
) -> list[list[Any]]:
    """The columns of a table as lists of values, of one statistic, with at most ``most`` rows.

    Numbers are rounded as the page shows them, to three significant digits or to a whole number,
    which keeps the page small. Missing and infinite ones are None.
    """
    return [
        [_rounded(value) if isinstance(value, float) else value for value in column.to_list()]
        for column in table.rows(statistic, most).iter_columns()
    ]


def _kind(name: str, kind: pl.DataType) -> ColumnKind:
    if isinstance(kind, pl.List):
        return "layers"
    if name in STYLE_COLUMNS:
        return "style"
    if name in P_VALUE_COLUMNS:
        return "p"
    if kind.is_integer():
        return "count"
    return "number" if kind.is_float() else "text"


def _rounded(value: float) -> float | int | None:
    """A number with the digits that `style.number` writes; whole ones take less room as int."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.0f}" if 1e3 <= abs(value) < 1e5 else f"{value:.3g}")
    return int(rounded) if rounded.is_integer() else rounded
