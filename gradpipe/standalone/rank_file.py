"""``gradpipe rank``: a user's data file, scored, ordered and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import polars as pl

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.shards import table_locations
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource
from gradpipe.standalone.data_stream import open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import added_from_spectra
from gradpipe.standalone.output_file import check_writable, write_atomically
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.ranking import score_spectra_file
from gradpipe.standalone.ranking_run import RankingRun
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.standalone.rewrite_stream import rewrite_stream
from gradpipe.standalone.spectra_rows import check_spectra_rows
from gradpipe.system.atomic_files import sweep_leftovers
from gradpipe.tables.column_streams import ColumnFiles
from gradpipe.tables.kinds import is_table_name, table_kind
from gradpipe.tables.line_streams import JsonLines, SeparatedLines
from gradpipe.tables.streams import TableStream, WholeTable
from gradpipe.untrusted.compressed import COMPRESSIONS, compress

#: Rows of a ranking that are returned with their texts.
ROWS_WITH_TEXTS = 100


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
    the table that ``gradpipe extract`` wrote for all of ``data``, or computes them by a model.
    ``columns`` and ``response_template`` are those of ``examples_of_table``. ``prefix`` is put
    before the names of the added columns. ``out`` has the same file format as ``data`` (Parquet for
    a data set of the hub), compressed if its name ends in .gz or .zst.

    Returns the written rows as ``row`` (the number in ``data``), the added columns, ``instruction``
    and ``response``, both null from row ROWS_WITH_TEXTS on. Raises GradpipeError, and writes
    nothing, if the data, the spectra or the output file cannot be used.
    """
    chunks = ExampleChunks(
        stream=open_data(data), columns=columns, response_template=response_template
    )

    def rank() -> pl.DataFrame:
        if isinstance(spectra, Path):
            return rank_by_spectra(spectra, chunks, order)
        return RankingRun(chunks, spectra, order).run()

    return write_ranking(chunks, out, order, rank, prefix=prefix, overwrite=overwrite)


def write_ranking(
    chunks: ExampleChunks,
    out: Path,
    order: RankOrder,
    rank: Callable[[], pl.DataFrame],
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> pl.DataFrame:
    """The same for the rows of ``chunks``, ranked by ``rank``: ``row`` and the order's columns."""
    stream = chunks.stream
    _check_names(stream, prefix, order.columns)
    _check_output(out, stream.extension, stream.name, overwrite)
    sweep_leftovers(out.parent)
    ranked = rank()
    added = ranked.select(pl.col(column).alias(prefix + column) for column in order.columns)
    if isinstance(stream, WholeTable):
        rows = (ranked["row"] - stream.first).to_list()
        written = rewrite_rows(stream.parts, rows, added)
        if compression := table_kind(str(out)).compression:
            written = compress(written, compression)
        write_atomically(out, lambda path: path.write_bytes(written))
    else:
        assert isinstance(stream, (JsonLines, SeparatedLines, ColumnFiles)), "all kinds of streams"
        rewrite_stream(stream, ranked["row"].to_numpy() - stream.first, added, out)
    return _with_texts(ranked.select("row", *order.columns), chunks)


def rank_by_spectra(spectra: Path, chunks: ExampleChunks, order: RankOrder) -> pl.DataFrame:
    """The ranking of examples by a table of their spectra."""
    scores = score_spectra_file(spectra, order.by)
    check_spectra_rows(scores["row"].to_list(), spectra, chunks)
    return order.of_scores(
        scores.join(added_from_spectra(spectra, order.extras), on="row", how="left")
    )


def _with_texts(ranked: pl.DataFrame, chunks: ExampleChunks) -> pl.DataFrame:
    first = ranked["row"].head(ROWS_WITH_TEXTS).to_list()
    found = chunks.texts(set(first))
    texts = pl.DataFrame(
        [(row, *found[row]) for row in first],
        {"row": pl.Int64, "instruction": pl.String, "response": pl.String},
        orient="row",
    )
    return ranked.join(texts, on="row", how="left", maintain_order="left")


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
        # `.` and `..` stand for a folder, but do not name it.
        path = path if path.name not in ("", "..") else path.resolve()
        return path.with_name(f"{path.name}.ranked{''.join(table_kind(first))}")
    suffixes = path.suffixes[-2:] if path.suffix.lower() in COMPRESSIONS else [path.suffix]
    ending = "".join(suffixes)
    return path.with_name(f"{path.name.removesuffix(ending)}.ranked{ending}")


def _check_names(stream: TableStream, prefix: str, added: Sequence[str]) -> None:
    """Raise DataError if the data have a column that would be added."""
    if isinstance(stream, JsonLines):
        known = {name for row in stream.objects() for name in row}
    else:
        known = set(next(stream.batches(1)).columns)
    taken = [prefix + name for name in added if prefix + name in known]
    if taken:
        raise DataError(
            f"{stream.name} already has a column {taken[0]!r}, which the ranking would add: put a "
            "prefix before the names of the new columns, for example --prefix gradient_."
        )


def _check_output(out: Path, extension: str, data: str, overwrite: bool) -> None:
    if not is_table_name(str(out)) or table_kind(str(out)).extension != extension:
        raise DataError(
            f"{out} must have the same file format as {data}: end its name in {extension}."
        )
    if out.exists() and not overwrite:
        raise DataError(f"{out} already exists: give another --out, or replace it by --overwrite.")
    check_writable(out)
