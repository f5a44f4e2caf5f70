"""Summaries as tables: for the terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Record = dict[str, Any]


def seconds(value: float) -> str:
    """Seconds or milliseconds, with three significant digits."""
    if value < 0.1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def times(value: float) -> str:
    """A ratio: 1.08 ×, 9.3 ×, 412 ×."""
    digits = 2 if value < 5 else 1 if value < 100 else 0
    return f"{value:.{digits}f} ×"


def megabytes(value: float) -> str:
    """Bytes as MB."""
    return f"{value / 1e6:.0f} MB"


def kilobytes(value: float) -> str:
    """Bytes as KB, with one decimal."""
    return f"{value / 1e3:.1f} KB"


def megabytes_in_tenths(value: float) -> str:
    """Bytes as MB, with one decimal."""
    return f"{value / 1e6:.1f} MB"


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.0f} %"


def power(value: float) -> str:
    """A small number in scientific notation."""
    return f"{value:.0e}"


def whole(value: float) -> str:
    """A number without decimals."""
    return f"{value:.0f}"


@dataclass(frozen=True)
class Column:
    """A column of a printed table: its heading, the summary's key, and the value's format."""

    head: str
    key: str
    write: Callable[[Any], str] = str

    def cell(self, record: Record) -> str:
        """The value as text; a dash if it is missing."""
        value = record.get(self.key)
        return "–" if value is None else self.write(value)


#: The columns of each part's table.
COLUMNS: dict[str, list[Column]] = {
    "passes": [
        Column("style", "case"),
        Column("tokens", "tokens", whole),
        Column("ours", "ours_seconds", seconds),
        Column("bare, as ours", "same_seconds", seconds),
        Column("bare, best", "bare_seconds", seconds),
        Column("best with", "batching"),
        Column("naive", "naive_seconds", seconds),
        Column("ours / bare, as ours", "over_same", times),
        Column("ours / bare, best", "over_bare", times),
        Column("naive / ours", "speedup", times),
        Column("beyond bare", "spectra_share", percent),
        Column("difference", "difference", power),
    ],
    "alignment": [
        Column("style", "case"),
        Column("tokens", "tokens", whole),
        Column("with", "with_seconds", seconds),
        Column("without", "without_seconds", seconds),
        Column("with / without", "over_without", "{:.3f} ×".format),
    ],
    "spans": [
        Column("row", "case"),
        Column("without spans", "without_seconds", seconds),
        Column("with spans", "shared_seconds", seconds),
        Column("with / without", "over_without", times),
        Column("with / spans as rows", "over_rows", times),
        Column("with / spans as cut rows", "over_cut_rows", times),
    ],
    "layer": [
        Column("shape", "case"),
        Column("ours, whole", "ours_seconds", seconds),
        Column("naive, whole", "naive_seconds", seconds),
        Column("naive / ours", "speedup", times),
        Column("ours, spectra", "our_spectra_seconds", seconds),
        Column("naive, spectra", "naive_spectra_seconds", seconds),
        Column("naive / ours", "spectra_speedup", times),
        Column("difference", "difference", power),
    ],
    "memory": [
        Column("case", "case"),
        Column("ours", "peak_ours", megabytes),
        Column("bare", "peak_bare", megabytes),
        Column("naive", "peak_naive", megabytes),
        Column("ours, one row", "peak_alone", megabytes),
        Column("ours, above", "above_ours", megabytes),
        Column("bare, above", "above_bare", megabytes),
        Column("naive, above", "above_naive", megabytes),
        Column("ours, one row, above", "above_alone", megabytes),
        Column("ours / naive", "over_naive", times),
    ],
    "profile": [
        Column("style", "case"),
        Column("method", "method"),
        Column("operator", "operator"),
        Column("time", "seconds", seconds),
        Column("share", "share", percent),
        Column("calls", "calls"),
    ],
    "storage": [
        Column("parts", "case"),
        Column("files", "files", whole),
        Column("bytes per row", "row_bytes", kilobytes),
        Column("singular values", "value_bytes", kilobytes),
        Column("sketches", "sketch_bytes", kilobytes),
        Column("all else", "other_bytes", kilobytes),
        Column("look", "look", seconds),
        Column("numbers", "numbers", seconds),
        Column("spectra", "spectra", seconds),
        Column("merge", "merge", seconds),
    ],
    "peers": [
        Column("method", "method"),
        Column("version", "version"),
        Column("style", "style"),
        Column("tokens", "tokens", whole),
        Column("per example", "seconds", seconds),
        Column("ratio", "ratio", times),
        Column("peak", "peak", megabytes),
        Column("delivers", "delivers"),
    ],
    "page": [
        Column("study", "case"),
        Column("page", "page_bytes", megabytes_in_tenths),
        Column("first chart", "first_chart", seconds),
        Column("all drawn", "all_drawn", seconds),
        Column("written in", "write_seconds", seconds),
        Column("chart files", "images", whole),
        Column("their size", "image_bytes", megabytes),
        Column("drawn in", "image_seconds", seconds),
    ],
}


def terminal_table(part: str, records: list[Record]) -> Table:
    """A summary as a table for the terminal."""
    from rich.table import Table

    table = Table()
    for number, column in enumerate(COLUMNS[part]):
        table.add_column(column.head, justify="right" if number else "left")
    for record in records:
        table.add_row(*(column.cell(record) for column in COLUMNS[part]))
    return table


def markdown_table(part: str, records: list[Record]) -> str:
    """A summary as a Markdown table."""
    columns = COLUMNS[part]
    lines = [
        "| " + " | ".join(column.head for column in columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in range(len(columns))) + "|",
    ]
    lines += ["| " + " | ".join(c.cell(record) for c in columns) + " |" for record in records]
    return "\n".join(lines)


def goal_line(goal: Record) -> str:
    """A goal's outcome as one line."""
    sign = "≥" if goal["at_least"] else "≤"
    word = "reached" if goal["reached"] else "missed"
    return (
        f"{word}: {goal['case']} {goal['found']:.3g} {goal['goal']} (goal {sign} {goal['bound']:g})"
    )
