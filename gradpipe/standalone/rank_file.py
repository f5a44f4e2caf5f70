"""A user's own file, scored and ordered: data selection in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import polars as pl

from gradpipe.benchmarks.fetch import is_remote, read_bytes
from gradpipe.benchmarks.table_files import parse_table, table_extension
from gradpipe.errors import DataError
from gradpipe.gradients.tokens import Pair
from gradpipe.standalone.extract_file import check_writable, hash_of_pairs, write_whole
from gradpipe.standalone.pairs import pairs_of_table
from gradpipe.standalone.ranking import ranked, scores_of_rows, scores_of_table
from gradpipe.standalone.rewrite_file import rearranged
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics

#: What is added to the user's columns.
ADDED = ("score", "rank", "reason")


def rank_file(
    data: str,
    out: Path,
    by: str,
    spectra: Path | Callable[[list[Pair]], Iterable[pl.DataFrame]],
    *,
    ascending: bool = False,
    top: int | float | None = None,
    prefix: str = "",
    overwrite: bool = False,
) -> pl.DataFrame:
    """Write ``data``'s rows to ``out`` in the order of a statistic, with ADDED to their columns.

    ``spectra`` is a table that ``gradpipe extract`` made of all of ``data``, or what takes the
    spectra of pairs, as frames of ROW_SCHEMA. An example's score is the mean of the statistic
    ``by`` over its layers and projections; for ``ascending`` and ``top`` see ``ranked``. ``prefix``
    stands in front of the names of the columns added. ``out`` is of the same kind as ``data``.

    Returns what was written as ``row`` (the number in ``data``), ``score``, ``rank``, ``reason``,
    ``instruction`` and ``response``. Raises GradpipeError, and writes nothing, where data,
    statistic, spectra or output file cannot be used.
    """
    require_statistics([by], tuple(REDUCTIONS))
    content = read_bytes(data)
    table = parse_table(content, data)
    pairs = pairs_of_table(table, data)
    _check_names(table, data, prefix)
    _check_out(out, data, overwrite)
    if isinstance(spectra, Path):
        scores = scores_of_table(spectra, by)
        _check_same(scores, spectra, pairs, data)
    else:
        scores = scores_of_rows(spectra(pairs), by)
    order = ranked(scores, ascending, top)
    added = order.select(pl.col(name).alias(prefix + name) for name in ADDED)
    written = rearranged(content, data, order["row"].to_list(), added)
    write_whole(out, lambda path: path.write_bytes(written))
    texts = pl.DataFrame(
        [(pair.instruction, pair.response) for pair in pairs],
        schema={"instruction": pl.String, "response": pl.String},
        orient="row",
    )
    return order.hstack(texts[order["row"]])


def ranked_name(data: str) -> Path:
    """Where a ranked file goes by default: beside ``data``, a URL's in the current folder."""
    path = Path(PurePosixPath(urlsplit(data).path).name if is_remote(data) else data)
    return path.with_name(f"{path.stem}.ranked{path.suffix}")


def _check_names(table: pl.DataFrame, data: str, prefix: str) -> None:
    taken = [prefix + name for name in ADDED if prefix + name in table.columns]
    if taken:
        raise DataError(
            f"{data} has a column {taken[0]!r} already, which the ranking would add: put something "
            "in front of the names of its columns, as in --prefix gradient_."
        )


def _check_out(out: Path, data: str, overwrite: bool) -> None:
    wanted = table_extension(data)
    if table_extension(str(out)) != wanted:
        raise DataError(f"{out} would be of another kind than {data}: end its name in {wanted}.")
    if out.exists() and not overwrite:
        raise DataError(f"{out} is there already: give another --out, or --overwrite it.")
    check_writable(out)


def _check_same(scores: pl.DataFrame, spectra: Path, pairs: list[Pair], data: str) -> None:
    """Raises DataError where the spectra are not those of the pairs, row by row."""
    rows = scores["row"].to_list()
    if rows != list(range(len(pairs))):
        extent = f"{len(rows)} rows, {rows[0]} to {rows[-1]}," if rows else "no rows"
        raise DataError(
            f"{spectra} has {extent} where {data} has {len(pairs)}: extract all of its rows, or "
            "leave out --spectra."
        )
    made_of = pl.read_parquet_metadata(spectra).get("pairs")
    if made_of not in (None, hash_of_pairs(pairs)):
        raise DataError(
            f"{spectra} was made of other texts than those in {data}, or of the same in another "
            "order: extract them again, or leave out --spectra."
        )
