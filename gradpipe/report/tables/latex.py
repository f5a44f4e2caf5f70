"""Tables as LaTeX for a paper, with booktabs; a table longer than a page is a longtable.

The numbers are those of the page, to three significant digits. Labels and headings come from data,
so each is escaped. Symbols that pdfLaTeX has no letter for are written as its commands. Letters
beyond Latin stay as they are: set a paper that has them with LuaLaTeX or XeLaTeX.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jinja2
import polars as pl

from gradpipe.report.style import DEFAULT_STATISTIC, statistic_label
from gradpipe.report.tables.table import ReportTable

#: The tables that a paper shows, with the columns to print, or None for all.
PRINTED: dict[str, list[str] | None] = {
    "verdicts_overall": [
        "title",
        "statement",
        "verdict",
        "survives_length",
        "effect",
        "low",
        "high",
        "p_adjusted",
        "items",
        "cells",
    ],
    "verdicts_by_projection": None,
    "mad": None,
    "mad_scale_free": None,
    "mad_segments": None,
    "rd": None,
    "base_and_tuned": None,
    "knowledge": None,
    "length": None,
    "trends": [
        *("title", "statement", "series", "steps", "first", "last"),
        *("change", "change_low", "change_high", "p_adjusted"),
        *("emerges", "emerges_low", "emerges_high"),
    ],
    "rows": None,
}
#: The statistic that papers show; the CSV files have all.
STATISTIC = DEFAULT_STATISTIC

#: A table with more lines does not fit a page: it is a longtable, which repeats its headings.
MOST_LINES_ON_A_PAGE = 50
#: Tables whose sections are sentences, which are broken into lines, and the width of their first
#: column if that holds sentences too.
_SENTENCES = {"verdicts_overall": r"p{0.34\linewidth}", "verdicts_by_projection": "l"}

_SUPERSCRIPTS = dict(zip("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
_SUBSCRIPTS = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))
_JOINER = "\u2060"
_COMMANDS = str.maketrans(
    {symbol: rf"\{symbol}" for symbol in "_%&$#{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # At the start of a row, these two would belong to the end of the row before.
        "[": "{}[",
        "*": "{}*",
        _JOINER: "{}",
    }
    | {sign: rf"\ensuremath{{^{{{plain}}}}}" for plain, sign in _SUPERSCRIPTS.items()}
    | {sign: rf"\ensuremath{{_{{{plain}}}}}" for plain, sign in _SUBSCRIPTS.items()}
    | {
        "σ": r"\ensuremath{\sigma}",
        "Σ": r"\ensuremath{\Sigma}",
        "×": r"\ensuremath{\times}",
        "−": r"\ensuremath{-}",
        "±": r"\ensuremath{\pm}",
        "·": r"\ensuremath{\cdot}",
        "≥": r"\ensuremath{\geq}",
        "≤": r"\ensuremath{\leq}",
        "≠": r"\ensuremath{\neq}",
        "≈": r"\ensuremath{\approx}",
        "→": r"\ensuremath{\rightarrow}",
        "ᵀ": r"\ensuremath{^{\top}}",
        "–": "--",
        "\u202f": r"\,",
    }
)


class Tex(str):
    """Text that is LaTeX already and is not escaped."""

    __slots__ = ()


class _Section(NamedTuple):
    title: str
    rows: list[list[str]]


class _Group(NamedTuple):
    """A heading over several columns, from ``first`` to ``last``, counted from 1."""

    label: str
    width: int
    first: int
    last: int


def write_latex(tables: dict[str, ReportTable], folder: Path) -> list[Path]:
    """Write a paper's tables as .tex files by their names; tables without rows are left out."""
    paths = []
    for name in PRINTED:
        table = printed(tables[name])
        if not table.frame.is_empty():
            path = folder / f"{name}.tex"
            path.write_text(latex(table), encoding="utf-8", newline="\n")
            paths.append(path)
    return paths


def printed(table: ReportTable) -> ReportTable:
    """The rows and columns of a table that a paper shows, for one statistic."""
    frame = table.frame
    if table.statistics:
        shown = STATISTIC if STATISTIC in table.statistics else table.statistics[0]
        frame = frame.filter(pl.col("statistic") == shown).drop("statistic")
        caption = f"{table.caption} ({statistic_label(shown)})"
        return replace(table, frame=frame, caption=caption)
    columns = PRINTED.get(table.name)
    return replace(table, frame=frame.select(columns)) if columns else table


def latex(table: ReportTable) -> str:
    r"""A table as LaTeX, with a caption and the label ``tab:NAME``.

    The table's sections are rows of their own, the other heads its first columns. A value that
    repeats the row above is blank, except in the last of these columns.
    """
    sections = _sections(table)
    lines = sum(len(section.rows) + 2 for section in sections)
    stub, headings = (
        table.headings[table.sections : table.heads],
        table.headings[table.heads :],
    )
    first = _SENTENCES.get(table.name, "l")
    return _template().render(
        alignment=Tex(first + "l" * (len(stub) - 1) + "r" * len(headings)),
        caption=table.caption,
        groups=list(_groups(table)),
        headings=headings,
        label=Tex(table.name),
        long=lines > MOST_LINES_ON_A_PAGE,
        sections=sections,
        sentences=table.name in _SENTENCES,
        stub=stub,
        width=len(stub) + len(headings),
    )


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    """The template of a table. Everything that it prints is escaped, unless it is `Tex`."""
    environment = jinja2.Environment(
        block_start_string="((*",
        block_end_string="*))",
        variable_start_string="(((",
        variable_end_string=")))",
        comment_start_string="((=",
        comment_end_string="=))",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=escape,
    )
    environment.filters["row"] = lambda cells: Tex(" & ".join(map(escape, cells)) + r" \\")
    text = files("gradpipe.report.tables").joinpath("table.tex.jinja").read_text("utf-8")
    return environment.from_string(text)


def escape(value: object) -> str:
    """The LaTeX that shows a text, on one line. `Tex` is returned unchanged."""
    if isinstance(value, Tex):
        return value
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(value))
    # Two of these in a row would become one dash, quotation mark or Spanish mark.
    apart = re.sub(r"(?<=[-'`,?!])(?=[-'`,])", _JOINER, text)
    return apart.translate(_COMMANDS)


def _sections(table: ReportTable) -> list[_Section]:
    """The table's rows as text by section, in the order of the sections' first rows."""
    sections: dict[str, list[list[str]]] = {}
    for cells in table.cells():
        stub = cells[table.sections : table.heads]
        numbers = [_number(cell) for cell in cells[table.heads :]]
        title = ", ".join(cells[: table.sections])
        sections.setdefault(title, []).append([*stub, *numbers])
    width = table.heads - table.sections
    return [_Section(title, _without_repeats(rows, width)) for title, rows in sections.items()]


def _without_repeats(rows: list[list[str]], width: int) -> list[list[str]]:
    """Rows with blanks for leading cells equal to those above, among the first ``width - 1``."""
    shown = rows[:1]
    for above, row in pairwise(rows):
        same = 0
        while same < width - 1 and above[same] == row[same]:
            same += 1
        shown.append([""] * same + row[same:])
    return shown


def _groups(table: ReportTable) -> Iterator[_Group]:
    """The headings over groups of columns, with the columns that they span."""
    first = table.heads - table.sections + 1
    for label, width in table.groups:
        yield _Group(label, width, first, first + width - 1)
        first += width


def _number(text: str) -> str:
    """A number with a minus sign, and its power of ten as superscripts; other text unchanged."""
    match = re.fullmatch(r"(-?)([\d.\u202f]+)(?:e([+-]\d+))?", text)
    if match is None:
        return text
    sign, digits, power = match.groups()
    raised = "".join(_SUPERSCRIPTS[sign] for sign in str(int(power))) if power else ""
    return f"{'−' if sign else ''}{digits}{f'×10{raised}' if power else ''}"
