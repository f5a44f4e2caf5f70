"""Two models, protocols or data sets side by side."""

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
    help="What to compare (repeatable; default: nuclear_norm and effective_rank).",
)
@click.option(
    "--unpaired",
    is_flag=True,
    help="Take items apart that have the same id, as rows of two different DATA files do.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Write the table to this file too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of a table.")
def compare_command(
    a: str, b: str, statistics: tuple[str, ...], unpaired: bool, csv: Path | None, as_json: bool
) -> None:
    """Compare A with B: how much larger and how much more uneven its gradients are.

    \b
    A and B are two of a kind:
      NAME              a model or a benchmark of the workspace's study
      FOLDER or URL     another workspace, as one that was run with another protocol
      WORKSPACE:NAME    a model or a benchmark of another workspace
      FILE.parquet      what `gradpipe extract` made

    What both have is compared: for each common style, relevance and projection, and each common
    benchmark or model, the ratio of A to B of a statistic's mean over layers and of its MAD, with
    95 % bootstrap intervals over items. Items that both have are compared with themselves. The last
    column says which differences are decided when Holm's correction allows for their number.
    """
    from gradpipe.claims.comparison import compare_cells
    from gradpipe.claims.comparison_text import comparison_sentences, comparison_summary

    if a == b:
        raise DataError(f"A and B are both {a}: name two that differ.")
    found = compare_cells(*_sides(a, b, statistics), unpaired=unpaired)
    first, words = comparison_summary(found, a, b), list(comparison_sentences(found))
    if csv is not None:
        _write(found, csv)
    if as_json:
        said = {"a": a, "b": b, "summary": first, "sentences": words, "rows": found.to_dicts()}
        click.echo(json.dumps(said, allow_nan=False))
        return
    click.echo("\n".join([first, "", *words, ""]))
    _print(found)


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
            f"{file} is a file, which knows no styles, and {other} is none: compare two files that "
            "`gradpipe extract` made."
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
    """The statistics to compare; raises StudyError where one of the sides lacks them."""
    from gradpipe.claims.comparison import DEFAULT_COMPARED
    from gradpipe.statistics.reductions import REDUCTIONS

    common = [name for name in REDUCTIONS if name in of_a and name in of_b]
    for name in wanted:
        if name not in common:
            raise StudyError(
                f"The two do not both have the statistic {name!r}: {nearest(name, common)}"
            )
    chosen = list(dict.fromkeys(wanted)) or [name for name in DEFAULT_COMPARED if name in common]
    if not chosen:
        raise StudyError(
            f"The two do not both have {' or '.join(DEFAULT_COMPARED)}: say with --on what to "
            f"compare; known are {', '.join(common) or 'none'}."
        )
    return chosen


def _write(found: pl.DataFrame, path: Path) -> None:
    try:
        found.write_csv(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}): give a file in a folder that "
            "exists and is yours."
        ) from error


def _print(found: pl.DataFrame) -> None:
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
        for row in found.iter_rows(named=True)
    )
    print_table(_HEADER, rows)
