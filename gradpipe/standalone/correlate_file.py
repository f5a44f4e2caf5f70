"""``gradpipe correlate``: a numeric column of a user's data file against every statistic."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gradpipe.errors import DataError, nearest
from gradpipe.gradients.rows import explode_matrices
from gradpipe.standalone.data_source import DataSource, rows_of_source
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.rank_file import check_pairs
from gradpipe.standalone.spectra_file import (
    columns_and_unusable,
    readable_spectra,
    spectra_batches,
)
from gradpipe.standalone.user_examples import examples_of_table
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
    table, name = rows_of_source(data), str(data)
    given = _numbers(table, column, name)
    pairs = examples_of_table(table, name, columns, response_template)
    if isinstance(spectra, Path):
        with readable_spectra(spectra):
            rows, reduced = _reduced_file(spectra, statistics)
        check_pairs(rows, spectra, pairs, name)
    else:
        frames = spectra.spectra(spectra.encode(pairs), aligned=False)
        reduced = pl.concat(_reduced_rows(frame, statistics) for frame in frames)
    joined = reduced.join(given, on="example")
    return correlate(joined, _GIVEN, statistics, controls=controls)


def _require_controls(controls: Sequence[str]) -> None:
    for name in controls:
        if name not in MEASURED_COLUMNS:
            raise DataError(
                f"{name!r} cannot be held constant: {nearest(name, list(MEASURED_COLUMNS))}"
            )


def _numbers(table: pl.DataFrame, column: str, data: str) -> pl.DataFrame:
    """``example`` and the column as numbers, null if it has no number; raises DataError."""
    if column not in table.columns:
        raise DataError(f"{data} has no column {column!r}: {nearest(column, table.columns)}")
    values = table[column]
    if values.dtype.is_nested():
        raise DataError(f"The column {column!r} of {data} has lists or objects: give numbers.")
    numbers = values.cast(pl.Float64, strict=False).rename(_GIVEN)
    finite = int((numbers.is_finite() & numbers.is_not_null()).sum())
    if not finite:
        raise DataError(f"The column {column!r} of {data} has no numbers: name another column.")
    if missing := table.height - finite:
        _log.warning("%s rows have no number in the column %r.", f"{missing:,}", column)
    return numbers.to_frame().with_row_index("example").cast({"example": pl.Int64})


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
