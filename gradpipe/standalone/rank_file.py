"""``gradpipe rank``: a user's data file, scored, ordered and written again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import polars as pl

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.shards import table_locations
from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource, parts_of_source
from gradpipe.standalone.output_file import check_writable, write_atomically
from gradpipe.standalone.ranking import rank_scores, score_rows, score_spectra_file
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.standalone.user_examples import examples_of_table, texts_of_examples
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.tables.kinds import is_table_name, table_kind
from gradpipe.tables.parts import frame_of_parts
from gradpipe.untrusted.compressed import COMPRESSIONS, compress

#: The columns that are added to the user's own.
ADDED_COLUMNS = ("score", "rank", "reason")


def rank_file(
    data: DataSource,
    out: Path,
    by: str,
    spectra: Path | Callable[[list[Example]], Iterable[pl.DataFrame]],
    *,
    ascending: bool = False,
    top: int | float | None = None,
    prefix: str = "",
    overwrite: bool = False,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> pl.DataFrame:
    """Write the rows of ``data`` to ``out``, ordered by a statistic, with ADDED_COLUMNS.

    An example's score is the mean of the statistic ``by`` over its layers and projections.
    ``spectra`` is the file that ``gradpipe extract`` wrote for all of ``data``, or a function that
    computes the spectra of examples as frames of ROW_SCHEMA. ``ascending`` and ``top`` are those of
    ``rank_scores``, ``columns`` and ``response_template`` those of ``examples_of_table``.
    ``prefix`` is put before the names of the added columns. ``out`` has the same file format as
    ``data`` (Parquet for a data set of the hub), compressed if its name ends in .gz or .zst.

    Returns the written rows as ``row`` (the number in ``data``), ``score``, ``rank``, ``reason``,
    ``instruction`` and ``response``. Raises GradpipeError, and writes nothing, if the data, the
    statistic, the spectra or the output file cannot be used.
    """
    require_statistics([by], tuple(REDUCTIONS))
    parts, name = parts_of_source(data), str(data)
    table = frame_of_parts(parts, name)
    pairs = examples_of_table(table, name, columns, response_template)
    _refuse_taken_names(table, name, prefix)
    _check_output(out, parts[0].extension, name, overwrite)
    if isinstance(spectra, Path):
        scores = score_spectra_file(spectra, by)
        _check_pairs(scores, spectra, pairs, name)
    else:
        scores = score_rows(spectra(pairs), by)
    order = rank_scores(scores, ascending, top)
    added = order.select(pl.col(name).alias(prefix + name) for name in ADDED_COLUMNS)
    written = rewrite_rows(parts, order["row"].to_list(), added)
    if compression := table_kind(str(out)).compression:
        written = compress(written, compression)
    write_atomically(out, lambda path: path.write_bytes(written))
    return order.hstack(texts_of_examples(pairs)[order["row"]])


def default_output(data: DataSource) -> Path:
    """The ranked file's default path: beside ``data``; in the current folder if that is remote.

    A folder's rows, and those of a pattern's files, are ranked in one file beside the folder.
    Raises DataError like ``table_locations``.
    """
    if isinstance(data, HubDataset):
        return Path(f"{data.name.rpartition('/')[2]}.ranked.parquet")
    first = table_locations(data)[0]
    location = data if first == data else str(Path(first).parent)
    path = Path(PurePosixPath(urlsplit(location).path).name if is_remote(location) else location)
    if first != data:
        # The current folder has no name of its own.
        path = path if path.name else path.resolve()
        return path.with_name(f"{path.name}.ranked{''.join(table_kind(first))}")
    suffixes = path.suffixes[-2:] if path.suffix.lower() in COMPRESSIONS else [path.suffix]
    ending = "".join(suffixes)
    return path.with_name(f"{path.name.removesuffix(ending)}.ranked{ending}")


def _refuse_taken_names(table: pl.DataFrame, data: str, prefix: str) -> None:
    taken = [prefix + name for name in ADDED_COLUMNS if prefix + name in table.columns]
    if taken:
        raise DataError(
            f"{data} already has a column {taken[0]!r}, which the ranking would add: put a prefix "
            "before the names of the new columns, for example --prefix gradient_."
        )


def _check_output(out: Path, extension: str, data: str, overwrite: bool) -> None:
    if not is_table_name(str(out)) or table_kind(str(out)).extension != extension:
        raise DataError(
            f"{out} must have the same file format as {data}: end its name in {extension}."
        )
    if out.exists() and not overwrite:
        raise DataError(f"{out} already exists: give another --out, or replace it by --overwrite.")
    check_writable(out)


def _check_pairs(scores: pl.DataFrame, spectra: Path, pairs: Sequence[Example], data: str) -> None:
    """Raise DataError unless the spectra are those of the pairs, row by row."""
    rows = scores["row"].to_list()
    if rows != list(range(len(pairs))):
        extent = f"{len(rows)} rows, {rows[0]} to {rows[-1]}," if rows else "no rows"
        raise DataError(
            f"{spectra} has {extent} but {data} has {len(pairs)}: extract all rows of the data, or "
            "leave out --spectra."
        )
    extracted = pl.read_parquet_metadata(spectra).get("pairs")
    if extracted not in (None, hash_examples(pairs)):
        raise DataError(
            f"{spectra} was extracted from other texts than those in {data}, or from the same in "
            "another order: extract them again, or leave out --spectra."
        )
