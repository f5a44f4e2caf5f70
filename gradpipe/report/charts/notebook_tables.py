"""What every function of ``gp.charts`` does with its table: check it, choose rows, draw them."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from gradpipe.errors import DataError
from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.report_data import REPORT_CURVE_COLUMNS
from gradpipe.report.style import DEFAULT_STATISTIC

#: What charts of two relevances need.
NEEDS_BOTH_RELEVANCES = "both correct and irrelevant responses of a style"
#: A table of results, in memory or scanned.
ResultsFrame = pl.DataFrame | pl.LazyFrame
#: The columns of ``gp.mad`` that charts need.
MAD_TABLE_COLUMNS = (
    *("model", "benchmark", "style", "relevance", "projection"),
    *("statistic", "segment", "mad"),
)


def checked(table: ResultsFrame, columns: Sequence[str], made_by: str) -> pl.DataFrame:
    """The table in memory. Raises DataError if it does not have all ``columns``."""
    frame = table.lazy().collect()
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(
            f"The table has no column {missing[0]!r}, only {', '.join(frame.columns)}: pass the "
            f"table that {made_by} returns."
        )
    return frame


def choose(frame: pl.DataFrame, **choices: str | None) -> pl.DataFrame:
    """The rows with one value of each named column: the given one, or the only one.

    Raises DataError if there is no such value, or if none is given and there are several.
    """
    for column, choice in choices.items():
        values = distinct(frame, column)
        if not values:
            continue
        known = ", ".join(map(repr, values))
        if choice is None and len(values) > 1:
            raise DataError(f"The table has several values of {column!r} ({known}): choose one.")
        if choice is not None and choice not in values:
            raise DataError(f"The table has no {column} {choice!r}: choose one of {known}.")
        chosen = values[0] if choice is None else choice
        frame = frame.filter(pl.col(column) == chosen)
    return frame


def choose_statistic(frame: pl.DataFrame, statistic: str | None) -> tuple[pl.DataFrame, str]:
    """The rows of one statistic, by default the nuclear norm or the table's first, and its name."""
    known = distinct(frame, "statistic")
    default = DEFAULT_STATISTIC if DEFAULT_STATISTIC in known or not known else known[0]
    chosen = default if statistic is None else statistic
    return choose(frame, statistic=chosen), chosen


def draw(
    kind: ChartKind,
    table: pl.DataFrame,
    *,
    needs: str,
    title: str | None,
    statistic: str | None = None,
    log: bool | None = None,
) -> alt.FacetChart:
    """The chart of a table of one model and benchmark, as far as it has these columns.

    ``title`` is by default the names of the two. Raises DataError if there are no rows to draw;
    ``needs`` says which rows the chart needs.
    """
    rows = kind.rows(table)
    if rows.is_empty():
        raise DataError(f"The table has no rows to draw: the chart needs {needs}.")
    return kind.chart(
        rows,
        title=cell_title(table) if title is None else title,
        statistic=statistic,
        log=log,
        tooltips=True,
    )


def one_cell(
    curves: ResultsFrame, statistic: str | None, model: str | None, benchmark: str | None
) -> tuple[pl.DataFrame, str]:
    """The curves of one statistic, model and benchmark, and the statistic's name."""
    table = checked(curves, REPORT_CURVE_COLUMNS, "gp.curves")
    return choose_statistic(choose(table, model=model, benchmark=benchmark), statistic)


def cell_title(table: pl.DataFrame) -> str:
    """The names of the table's model and benchmark, if it has one of each."""
    values = [
        table.get_column(column).drop_nulls().unique().to_list()
        for column in ("model", "benchmark")
        if column in table.columns
    ]
    return " · ".join(names[0] for names in values if len(names) == 1 and names[0])
