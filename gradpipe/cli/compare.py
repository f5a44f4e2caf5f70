"""``gradpipe compare``: two models, data sets or studies, compared with intervals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.name_completion import complete_sides, complete_statistics
from gradpipe.cli.options import current_workspace, workspace_option
from gradpipe.errors import DataError, StudyError, nearest

if TYPE_CHECKING:
    import polars as pl

#: How many rows are printed, the most different ones.
SUMMARY_ROWS = 8
#: Sentences of the summary; there are two per statistic, and one on the items.
_MOST_SENTENCES = 9
#: Characters of a side's name in the name of a file.
_LONGEST_PART = 60
_FORMATS = (".csv", ".parquet")
_HEADER = ("on", "projection", "statistic", "of", "A", "B", "A / B", "95 % interval", "A is")


@click.command("compare")
@click.argument("a", metavar="A", shell_complete=complete_sides)
@click.argument("b", metavar="B", shell_complete=complete_sides)
@click.option(
    "--on",
    "statistics",
    multiple=True,
    metavar="STATISTIC",
    shell_complete=complete_statistics,
    help="Statistic to compare (repeatable; default: nuclear_norm and effective_rank).",
)
@click.option(
    "--unpaired",
    is_flag=True,
    help="Treat items with the same id as different, such as rows of two different DATA files.",
)
@click.option(
    "--out",
    "--csv",
    "out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The .csv or .parquet file for the whole table (default: compare-A-B.csv).",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object with the whole table; a file is written only with --out.",
)
@workspace_option
def compare_command(
    a: str, b: str, statistics: tuple[str, ...], unpaired: bool, out: Path | None, as_json: bool
) -> None:
    """Compare the gradients of two models, data sets or studies.

    \b
    A and B are two of the same kind:
      NAME              a model or a benchmark of the workspace's study
      FOLDER or URL     another workspace, for example with another protocol
      WORKSPACE:NAME    a model or a benchmark of another workspace
      FILE.parquet      a table that `gradpipe extract` wrote

    The table has the ratio of A to B of two quantities: a statistic's mean over layers, and its MAD
    (how uneven it is over layers). There is one row for each style, relevance and projection that A
    and B have in common; models are compared on every common benchmark, benchmarks on every common
    model. The 95% intervals come from a bootstrap over items, paired where A and B have the same
    items. The last column says which differences remain after Holm's correction for multiple
    comparisons. Printed are the rows that differ most and a summary; the whole table is in a file.
    """
    from gradpipe.claims.comparison import compare_cells
    from gradpipe.claims.comparison_text import comparison_sentences, comparison_summary

    file = out if out is not None or as_json else _default_file(a, b)
    if a == b:
        raise DataError(f"A and B are both {a}: give two different ones.")
    if file is not None:
        _check_file(file, a, b)
    comparison = compare_cells(*_sides(a, b, statistics), unpaired=unpaired)
    if file is not None:
        _write(comparison, file)
    if file is not None and not as_json:
        _print(comparison, a, b, file)
        return
    record = {
        "a": a,
        "b": b,
        "summary": comparison_summary(comparison, a, b),
        "sentences": list(comparison_sentences(comparison)),
        "rows": comparison.to_dicts(),
        "file": None if file is None else str(file),
    }
    click.echo(json.dumps(record, allow_nan=False))


def _sides(
    a: str, b: str, statistics: Sequence[str]
) -> tuple[Iterable[tuple[pl.LazyFrame, pl.LazyFrame]], list[str]]:
    """The pairs of tables to compare, and the statistics to compare them on."""
    files = [_is_file(word) for word in (a, b)]
    if all(files):
        return _of_files(Path(a), Path(b), statistics)
    if any(files):
        file, other = (a, b) if files[0] else (b, a)
        raise DataError(
            f"{file} is a Parquet file and {other} is not: compare two files that `gradpipe "
            "extract` wrote, or two models, benchmarks or workspaces."
        )
    return _of_studies(a, b, statistics)


def _is_file(word: str) -> bool:
    return "://" not in word and word.endswith(".parquet")


def _of_files(
    a: Path, b: Path, statistics: Sequence[str]
) -> tuple[Iterable[tuple[pl.LazyFrame, pl.LazyFrame]], list[str]]:
    from gradpipe.claims.comparison import extracted_statistics

    tables = extracted_statistics(a), extracted_statistics(b)
    columns = [table.collect_schema().names() for table in tables]
    return [tables], _chosen(statistics, *columns)


def _of_studies(
    a: str, b: str, statistics: Sequence[str]
) -> tuple[Iterable[tuple[pl.LazyFrame, pl.LazyFrame]], list[str]]:
    from assets.planning.comparison import find_side, paired_cells

    current = current_workspace()
    one, other = find_side(a, current), find_side(b, current)
    pairs = paired_cells(one, other)
    chosen = _chosen(statistics, one.study.statistics, other.study.statistics)
    return ((one.table(x).scan(), other.table(y).scan()) for x, y in pairs), chosen


def _chosen(wanted: Sequence[str], of_a: Sequence[str], of_b: Sequence[str]) -> list[str]:
    """The statistics to compare; raises StudyError unless both sides have them."""
    from gradpipe.claims.comparison import DEFAULT_COMPARED
    from gradpipe.statistics.reductions import REDUCTIONS

    common = [name for name in REDUCTIONS if name in of_a and name in of_b]
    for name in wanted:
        if name not in common:
            raise StudyError(f"A and B do not both have {name!r}: {nearest(name, common)}")
    chosen = list(dict.fromkeys(wanted)) or [name for name in DEFAULT_COMPARED if name in common]
    if not chosen:
        raise StudyError(
            f"A and B do not both have {' or '.join(DEFAULT_COMPARED)}: choose with --on what "
            f"they have in common: {', '.join(common) or 'no statistic'}."
        )
    return chosen


def _default_file(a: str, b: str) -> Path:
    """The file of a comparison in the current folder, named by its sides."""
    sides = (re.sub(r"[^\w.@=-]+", "-", word).strip("-.")[-_LONGEST_PART:] for word in (a, b))
    return Path(f"compare-{'-'.join(sides)}.csv")


def _check_file(path: Path, a: str, b: str) -> None:
    from gradpipe.standalone.input_files import refuse_inputs
    from gradpipe.standalone.output_file import check_writable

    if path.suffix.lower() not in _FORMATS:
        raise DataError(f"{path} must be a table: end its name in .csv or .parquet.")
    check_writable(path)
    refuse_inputs(path, [side for side in (a, b) if _is_file(side)])


def _write(comparison: pl.DataFrame, path: Path) -> None:
    from gradpipe.standalone.output_file import write_atomically

    csv = path.suffix.lower() == ".csv"
    write_atomically(path, comparison.write_csv if csv else comparison.write_parquet)


def _print(comparison: pl.DataFrame, a: str, b: str, path: Path) -> None:
    """Print the rows that differ most, then the summary and where the other rows are."""
    from gradpipe.claims.comparison_text import (
        comparison_sentences,
        comparison_summary,
        most_different,
    )
    from gradpipe.cli.progress import print_table

    first = most_different(comparison, SUMMARY_ROWS)
    print_table(_HEADER, map(_cells, first.iter_rows(named=True)))
    sentences = list(comparison_sentences(comparison))
    left = len(sentences) - _MOST_SENTENCES
    more = [f"... and {left} more statistics and quantities"] if left > 0 else []
    click.echo("\n".join(["", *sentences[:_MOST_SENTENCES], *more]))
    click.echo(comparison_summary(comparison, a, b))
    shown = "These are all rows" if first.height == comparison.height else "These rows differ most"
    click.echo(f"{shown}; {path} has the whole table ({comparison.height} rows).")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    on = (row[name] for name in ("model", "benchmark", "style", "relevance"))
    return (
        " ".join(filter(None, on)),
        row["projection"],
        row["statistic"],
        row["quantity"],
        *(number(row[name]) for name in ("a", "b", "ratio")),
        f"{number(row['low'])} – {number(row['high'])}" if row["low"] is not None else "",
        row["verdict"],
    )
