"""Tables as LaTeX, for a paper: set with booktabs, in longtable where they pass a page.

The numbers are those of the page, to three significant digits. What data may hold is escaped;
signs that pdfLaTeX has no letter for are written as its commands. Letters beyond Latin are left as
they are: a paper that has them is set with LuaLaTeX or XeLaTeX.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from gradpipe.report import style
from gradpipe.report.tables.table import ReportTable

#: The tables that a paper shows and, where not all of them are printed, their columns.
PRINTED: dict[str, list[str] | None] = {
    "verdicts_overall": [
        "title",
        "statement",
        "verdict",
        "effect",
        "low",
        "high",
        "p_adjusted",
        "items",
        "cells",
    ],
    "verdicts_by_projection": None,
    "mad": None,
    "mad_segments": None,
    "rd": None,
    "base_and_tuned": None,
    "knowledge": None,
    "length": None,
    "rows": None,
}
#: Of the tables that hold every statistic, papers show this one; the CSV has the others.
STATISTIC = style.DEFAULT_STATISTIC

#: More lines than this do not fit a page: they are set as a longtable that repeats its headings.
MOST_LINES_ON_A_PAGE = 50
_FONT_SIZE = "8pt"
#: Half of what stands between two columns: the widest tables then fit a page's width.
_CLOSER = r"\setlength{\tabcolsep}{2.5pt}"
#: Tables whose sections, and whose first column, hold sentences: these are broken into lines.
_SENTENCES = {"verdicts_overall": r"0.34\linewidth", "verdicts_by_projection": None}
_RULE = "\\midrule\\addlinespace[2.5pt]\n"

_SUPERSCRIPTS = dict(zip("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
_SUBSCRIPTS = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))
_NEEDS = r"% Needs \usepackage{booktabs,longtable}."
_BAR, _JOINER = "\u2223", "\u2060"
_SIGNS = str.maketrans(
    {sign: rf"\ensuremath{{^{{{plain}}}}}" for plain, sign in _SUPERSCRIPTS.items()}
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
        _BAR: r"\textbar{}",
        _JOINER: "{}",
    }
)


def write_latex(tables: dict[str, ReportTable], folder: Path) -> list[Path]:
    """Write a paper's tables as .tex files by their names; those without rows are left out."""
    paths = []
    for name in PRINTED:
        table = printed(tables[name])
        if not table.frame.is_empty():
            path = folder / f"{name}.tex"
            path.write_text(latex(table), encoding="utf-8", newline="\n")
            paths.append(path)
    return paths


def printed(table: ReportTable) -> ReportTable:
    """A table as a paper shows it: of one statistic, with the columns that are printed."""
    frame = table.frame
    if table.statistics:
        shown = STATISTIC if STATISTIC in table.statistics else table.statistics[0]
        frame = frame.filter(pl.col("statistic") == shown).drop("statistic")
        caption = f"{table.caption} ({style.statistic_label(shown)})"
        return replace(table, frame=frame, caption=caption)
    columns = PRINTED.get(table.name)
    return replace(table, frame=frame.select(columns)) if columns else table


def latex(table: ReportTable) -> str:
    r"""A table as LaTeX: a ``table``, or a ``longtable`` where it is longer than a page.

    Its sections are rows of their own, the other heads its stub. It has a caption and is referred
    to as ``tab:NAME``.
    """
    sections = table.frame.select(table.columns[: table.sections]).n_unique()
    long = table.frame.height + 2 * sections > MOST_LINES_ON_A_PAGE
    text = _as_great_table(table).as_latex(use_longtable=long)
    text = _with_label(text, table.name)
    text = text.replace("\\selectfont\n", f"\\selectfont{_CLOSER}\n", 1)
    if table.name in _SENTENCES:
        text = _with_lines_broken(text, _SENTENCES[table.name])
    if long:
        text = _with_repeated_headings(text)
    return f"{_NEEDS}\n{text.translate(_SIGNS)}"


def _as_great_table(table: ReportTable) -> Any:
    from great_tables import GT

    names = table.columns
    cells = [
        [*map(_plain, row[: table.heads]), *map(_number, row[table.heads :])]
        for row in table.cells()
    ]
    text = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
    dividing, stub = names[: table.sections], names[table.sections : table.heads]
    values = names[table.heads :]
    section = pl.concat_str(dividing, separator=", ").alias("section")
    headings = dict(zip(names, table.headings, strict=True))
    made = (
        GT(text.select(section, *stub, *values), rowname_col=stub, groupname_col="section")
        .tab_header(f"{table.caption}.")
        .tab_stubhead([headings[name] for name in stub])
        .cols_label({name: headings[name] for name in values})
        .cols_align("right", values)
        .tab_options(table_font_size=_FONT_SIZE)
    )
    start = 0
    for place, (label, width) in enumerate(table.groups):
        under = values[start : start + width]
        made = made.tab_spanner(label, under, id=f"group {place}")
        start += width
    return made


def _plain(text: str) -> str:
    """Text without what great-tables lets through: breaks, bars (rules in TeX), joined dashes."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)
    return text.replace("|", _BAR).replace("--", f"-{_JOINER}-")


def _number(text: str) -> str:
    """A number with a minus sign and its power of ten raised; other text as it is."""
    found = re.fullmatch(r"(-?)([\d.\u202f]+)(?:e([+-]\d+))?", text)
    if found is None:
        return _plain(text)
    sign, digits, power = found.groups()
    raised = "".join(_SUPERSCRIPTS[sign] for sign in str(int(power))) if power else ""
    return f"{'−' if sign else ''}{digits}{f'×10{raised}' if power else ''}"


def _with_label(text: str, name: str) -> str:
    """The caption numbered and with a label, where great-tables writes a heading without."""
    before, caption, after = re.split(r"\\caption\*\{\n\{\\large (.*)\}\n\}", text, maxsplit=1)
    return rf"{before}\caption{{{caption}}}\label{{tab:{name}}}{after}"


def _with_lines_broken(text: str, first: str | None) -> str:
    """Sections, and the first column where it has a width, in lines that fit.

    A section's box has no width of its own, which would widen the last column.
    """
    box = r"\1{\\makebox[0pt][l]{\\parbox[t]{0.95\\linewidth}{\2}}} \\\\"
    text = re.sub(r"(\\multicolumn\{\d+\}\{l\})\{(.*)\} \\\\", box, text)
    return text.replace("l|", f"p{{{first}}}|", 1) if first else text


def _with_repeated_headings(text: str) -> str:
    """The headings of a longtable on each of its pages; great-tables sets them on the first."""
    start, rest = text.split("\\toprule\n", 1)
    headings, body = rest.split(_RULE, 1)
    headings = f"\\toprule\n{headings}{_RULE}"
    return f"{start}{headings}\\endfirsthead\n{headings}\\endhead\n{body}"
