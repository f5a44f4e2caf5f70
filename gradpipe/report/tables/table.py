"""A table of the report: its exact frame for the CSV, and its text for the page and papers."""

from dataclasses import dataclass, field

import polars as pl

from gradpipe.report import style
from gradpipe.report.chart_data import distinct, in_reading_order

STYLE_COLUMNS = ("style", "against", "against_style")
P_VALUE_COLUMNS = ("p", "p_adjusted")
#: The smallest p-value shown: resampling cannot distinguish smaller ones.
LEAST_P = 0.001


@dataclass(frozen=True)
class ReportTable:
    """A table: its exact frame, for the CSV, and how it is shown.

    The first ``heads`` columns name the row. ``groups`` has the label and width of each group of
    the other columns, if there are two lines of headings. ``labels`` has the headings that differ
    from the column's name. A frame with a ``statistic`` column is shown one statistic at a time.
    In print, the first ``sections`` columns divide the rows into sections.
    """

    name: str
    caption: str
    frame: pl.DataFrame
    heads: int
    groups: list[tuple[str, int]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    sections: int = 0

    @property
    def columns(self) -> list[str]:
        """The columns that are shown, in order."""
        return [c for c in self.frame.columns if c != "statistic"]

    @property
    def headings(self) -> list[str]:
        """The headings of ``columns``."""
        return [self.labels.get(c, c.replace("_", " ")) for c in self.columns]

    @property
    def statistics(self) -> list[str]:
        """The values of the column ``statistic`` in the order they are shown; empty without it."""
        return distinct(self.frame, "statistic") if "statistic" in self.frame.columns else []

    def rows(self, statistic: str | None = None, most: int | None = None) -> pl.DataFrame:
        """The shown columns, for one statistic if it is given, at most ``most`` rows."""
        frame = self.frame
        if statistic is not None:
            frame = frame.filter(pl.col("statistic") == statistic)
        return (frame if most is None else frame.head(most)).select(self.columns)

    def cells(self, statistic: str | None = None, most: int | None = None) -> list[list[str]]:
        """The rows as lists of text, for one statistic if it is given, at most ``most`` of them."""
        shown = self.rows(statistic, most)
        styles = [c for c in STYLE_COLUMNS if c in shown.columns]
        shown = shown.with_columns(pl.col(styles).replace(style.style_labels()))
        formats = [_p_value if column in P_VALUE_COLUMNS else _cell for column in shown.columns]
        return [
            [format_(value) for format_, value in zip(formats, row, strict=True)]
            for row in shown.rows()
        ]


def projections_of(frame: pl.DataFrame) -> list[str]:
    """The projections of a frame in order; those of attention if it has no rows."""
    return distinct(frame, "projection") or ["q", "k", "v", "o"]


def where(value: str | pl.Expr, **keys: str) -> pl.Expr:
    """A value in the group's row with these keys; null if there is no such row."""
    value = pl.col(value) if isinstance(value, str) else value
    chosen = [pl.col(column) == key for column, key in keys.items()]
    return value.filter(pl.all_horizontal(chosen)).first()


def wide(frame: pl.DataFrame, keys: list[str], values: list[pl.Expr]) -> pl.DataFrame:
    """One row per keys and statistic, in reading order, with ``values`` side by side."""
    rows = frame.group_by(*keys, "statistic").agg(values)
    return in_reading_order(rows, "statistic", *keys)


def _cell(value: object) -> str:
    if value is None or isinstance(value, (int, float)):
        return style.number(value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _p_value(value: object) -> str:
    small = isinstance(value, float) and value < LEAST_P
    return f"< {LEAST_P}" if small else _cell(value)
