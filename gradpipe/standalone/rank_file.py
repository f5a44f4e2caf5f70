"""``gradpipe rank``: a user's data file, scored, ordered and written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import polars as pl

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.shards import table_locations
from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource, parts_of_source
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import added_from_spectra
from gradpipe.standalone.output_file import check_writable, write_atomically
from gradpipe.standalone.rank_examples import RankOrder, rank_by_model
from gradpipe.standalone.ranking import score_spectra_file
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.standalone.user_examples import examples_of_table, texts_of_examples
from gradpipe.tables.kinds import is_table_name, table_kind
from gradpipe.tables.parts import frame_of_parts
from gradpipe.untrusted.compressed import COMPRESSIONS, compress


def rank_file(
    data: DataSource,
    out: Path,
    order: RankOrder,
    spectra: Path | ExampleRunner,
    *,
    prefix: str = "",
    overwrite: bool = False,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> pl.DataFrame:
    """Write the rows of ``data`` to ``out`` in ``order``, with its columns.

    An example's score is the mean of a statistic over its layers and projections. ``spectra`` is
    the file that ``gradpipe extract`` wrote for all of ``data``, or computes them by a model.
    ``columns`` and ``response_template`` are those of ``examples_of_table``. ``prefix`` is put
    before the names of the added columns. ``out`` has the same file format as ``data`` (Parquet for
    a data set of the hub), compressed if its name ends in .gz or .zst.

    Returns the written rows as ``row`` (the number in ``data``), the added columns, ``instruction``
    and ``response``. Raises GradpipeError, and writes nothing, if the data, the spectra or the
    output file cannot be used.
    """
    parts, name = parts_of_source(data), str(data)
    table = frame_of_parts(parts, name)
    pairs = examples_of_table(table, name, columns, response_template)
    _refuse_taken_names(table, name, prefix, order.columns)
    _check_output(out, parts[0].extension, name, overwrite)
    if isinstance(spectra, Path):
        ranked = order.of_scores(_scores_of_file(spectra, order, pairs, name))
    else:
        ranked = rank_by_model(spectra, pairs, order)
    written = rewrite_rows(
        parts,
        ranked["row"].to_list(),
        ranked.select(pl.col(column).alias(prefix + column) for column in order.columns),
    )
    if compression := table_kind(str(out)).compression:
        written = compress(written, compression)
    write_atomically(out, lambda path: path.write_bytes(written))
    return ranked.select("row", *order.columns).hstack(texts_of_examples(pairs)[ranked["row"]])


def _scores_of_file(
    spectra: Path, order: RankOrder, pairs: Sequence[Example], name: str
) -> pl.DataFrame:
    """The scores from a file of spectra of these pairs."""
    scores = score_spectra_file(spectra, order.by)
    check_pairs(scores["row"].to_list(), spectra, pairs, name)
    return scores.join(added_from_spectra(spectra, order.extras), on="row", how="left")


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


def _refuse_taken_names(table: pl.DataFrame, data: str, prefix: str, added: Sequence[str]) -> None:
    taken = [prefix + name for name in added if prefix + name in table.columns]
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


def check_pairs(rows: Sequence[int], spectra: Path, pairs: Sequence[Example], data: str) -> None:
    """Raise DataError unless the spectra, of these ``rows``, are those of the pairs, row by row."""
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
