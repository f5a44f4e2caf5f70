"""``gradpipe compare``: two models, data sets or studies, compared with intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradpipe.cli.options import current_workspace
from gradpipe.errors import DataError, StudyError, nearest

if TYPE_CHECKING:
    import polars as pl

_HEADER = ("on", "projection", "statistic", "of", "A", "B", "A / B", "95 % interval", "A is")


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--on",
    "statistics",
    multiple=True,
    metavar="STATISTIC",
    help="Statistic to compare (repeatable; default: nuclear_norm and effective_rank).",
)
@click.option(
    "--unpaired",
    is_flag=True,
    help="Treat items with the same id as different, such as rows of two different DATA files.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Also write the table to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def compare_command(
    a: str, b: str, statistics: tuple[str, ...], unpaired: bool, csv: Path | None, as_json: bool
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
    comparisons.
    """
    from gradpipe.claims.comparison import compare_cells
    from gradpipe.claims.comparison_text import comparison_sentences, comparison_summary

    if a == b:
        raise DataError(f"A and B are both {a}: give two different ones.")
    comparison = compare_cells(*_sides(a, b, statistics), unpaired=unpaired)
    summary, sentences = (
        comparison_summary(comparison, a, b),
        list(comparison_sentences(comparison)),
    )
    if csv is not None:
        _write(comparison, csv)
    if as_json:
        rows = comparison.to_dicts()
        record = {"a": a, "b": b, "summary": summary, "sentences": sentences, "rows": rows}
        click.echo(json.dumps(record, allow_nan=False))
        return
    click.echo("\n".join([summary, "", *sentences, ""]))
    _print(comparison)


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


def _write(comparison: pl.DataFrame, path: Path) -> None:
    try:
        comparison.write_csv(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}): choose a file in an existing "
            "folder with write permission."
        ) from error


def _print(comparison: pl.DataFrame) -> None:
    from gradpipe.cli.progress import print_table

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}"

    rows = (
        (
            " ".join(
                filter(None, (row[name] for name in ("model", "benchmark", "style", "relevance")))
            ),
            row["projection"],
            row["statistic"],
            row["quantity"],
            *(number(row[name]) for name in ("a", "b", "ratio")),
            f"{number(row['low'])} – {number(row['high'])}" if row["low"] is not None else "",
            row["verdict"],
        )
        for row in comparison.iter_rows(named=True)
    )
    print_table(_HEADER, rows)
