"""``gradpipe correlate``: a numeric column of a user's data file against every statistic."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gradpipe.errors import DataError, nearest
from gradpipe.gradients.rows import explode_matrices
from gradpipe.standalone.data_source import DataSource
from gradpipe.standalone.data_stream import ALL_ROWS, numbered_batches, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.spectra_file import (
    columns_and_unusable,
    readable_spectra,
    spectra_batches,
)
from gradpipe.standalone.spectra_rows import check_spectra_rows
from gradpipe.statistics.correlation import correlate
from gradpipe.statistics.examples import MEASURED_COLUMNS
from gradpipe.statistics.reductions import (
    REDUCTIONS,
    available_statistics,
    computable_statistics,
    reduce_spectra,
    require_statistics,
)
from gradpipe.statistics.table import whole_responses
from gradpipe.tables.streams import TableStream

#: The user's column in the table of statistics, where its own name may be taken.
_GIVEN = "given"
_log = logging.getLogger(__name__)


def correlate_file(
    data: DataSource,
    column: str,
    spectra: Path | ExampleRunner,
    statistics: Sequence[str] | None = None,
    *,
    controls: Sequence[str] = ("response_tokens",),
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
) -> pl.DataFrame:
    """Correlate ``column`` of ``data`` with statistics of its rows' gradients (CORRELATION_SCHEMA).

    ``spectra`` is the file that ``gradpipe extract`` wrote for all of ``data``, or computes them by
    a model. ``statistics`` are by default all that these give. ``controls`` are MEASURED_COLUMNS
    that the partial correlations hold constant. ``columns`` and ``response_template`` are those of
    ``examples_of_table``. Rows without a number in ``column`` are excluded, and counted in the log.

    Raises DataError if the data or the spectra cannot be used, if there is no such column, or it
    has no numbers; StudyError for a statistic that the spectra do not give.
    """
    require_statistics(statistics or [], tuple(REDUCTIONS))
    _require_controls(controls)
    stream = open_data(data)
    given = _numbers(stream, column)
    chunks = ExampleChunks(stream=stream, columns=columns, response_template=response_template)
    if isinstance(spectra, Path):
        with readable_spectra(spectra):
            rows, reduced = _reduced_file(spectra, statistics)
        check_spectra_rows(rows, spectra, chunks)
    else:
        reduced = _reduced_chunks(spectra, chunks, statistics)
    joined = reduced.join(given, on="example")
    return correlate(joined, _GIVEN, statistics, controls=controls)


def _require_controls(controls: Sequence[str]) -> None:
    for name in controls:
        if name not in MEASURED_COLUMNS:
            raise DataError(
                f"{name!r} cannot be held constant: {nearest(name, list(MEASURED_COLUMNS))}"
            )


def _numbers(stream: TableStream, column: str) -> pl.DataFrame:
    """``example`` and the column as numbers, null if it has no number; raises DataError."""
    data, parts = stream.name, []
    columns: dict[str, None] = {}
    for rows, batch in numbered_batches(stream, ALL_ROWS):
        columns |= dict.fromkeys(batch.columns)
        values = batch[column] if column in batch.columns else pl.Series([None] * len(rows))
        if values.dtype.is_nested():
            raise DataError(f"The column {column!r} of {data} has lists or objects: give numbers.")
        numbers = values.cast(pl.Float64, strict=False).alias(_GIVEN)
        parts.append(pl.DataFrame([pl.Series("example", rows, pl.Int64), numbers]))
    if column not in columns:
        raise DataError(f"{data} has no column {column!r}: {nearest(column, list(columns))}")
    table = pl.concat(parts)
    finite = int((table[_GIVEN].is_finite() & table[_GIVEN].is_not_null()).sum())
    if not finite:
        raise DataError(f"The column {column!r} of {data} has no numbers: name another column.")
    if missing := table.height - finite:
        _log.warning("%s rows have no number in the column %r.", f"{missing:,}", column)
    return table


def _reduced_chunks(
    runner: ExampleRunner, chunks: ExampleChunks, statistics: Sequence[str] | None
) -> pl.DataFrame:
    """The statistics of each matrix of the examples, computed a chunk at a time."""
    overlong = runner.overlong()
    for chunk in chunks:
        overlong.look_at(chunk.examples, chunk.rows)
    overlong.refuse()
    reduced = []
    for chunk in chunks:
        rows = runner.encode(chunk.examples, numbers=chunk.rows)
        for frame in runner.spectra(rows, aligned=False):
            numbered = frame.with_columns(pl.col("row") + chunk.rows[0])
            reduced.append(_reduced_rows(numbered, statistics))
    return pl.concat(reduced)


def _reduced_rows(rows: pl.DataFrame, statistics: Sequence[str] | None) -> pl.DataFrame:
    """The statistics of each matrix of the usable rows of a frame of ROW_SCHEMA."""
    matrices = explode_matrices(rows.lazy()).rename({"row": "example"})
    return _reduced(matrices, list(REDUCTIONS) if statistics is None else statistics)


def _reduced_file(path: Path, statistics: Sequence[str] | None) -> tuple[list[int], pl.DataFrame]:
    """The numbers of all rows of a file of spectra, and the statistics of the usable ones."""
    present, unusable = columns_and_unusable(path)
    names = available_statistics(present) if statistics is None else list(statistics)
    require_statistics(names, available_statistics(present))
    sources = {source for name in names for source in REDUCTIONS[name].meta.root_names()}
    needed = ["example", "span", "layer", "projection", *MEASURED_COLUMNS, *names, *sources]
    read = [name for name in dict.fromkeys(needed) if name in present]
    table = pl.concat(
        _reduced(whole_responses(batch.lazy()), names) for batch in spectra_batches(path, read)
    )
    return sorted({*table["example"], *unusable["row"]}), table


def _reduced(matrices: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    computable = computable_statistics(matrices.collect_schema().names())
    return (
        reduce_spectra(matrices, [name for name in names if name in computable])
        .select(
            pl.col("example").cast(pl.Int64),
            *MEASURED_COLUMNS,
            "layer",
            pl.col("projection").cast(pl.String),
            *names,
        )
        .collect()
    )
