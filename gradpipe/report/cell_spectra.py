"""The spectra of one model on one benchmark, as ``extract_spectra`` has them, with their labels."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.report.cell_results import CellResults
from gradpipe.standalone.full_table import full_spectra_table
from gradpipe.statistics.table import EXAMPLE_COLUMNS


def spectra_of_cell(
    cell: CellResults, wanted: Iterable[pl.Expr] = (), most: int | None = None
) -> pl.DataFrame:
    """The spectra of the usable examples for which all of ``wanted`` are true, at most ``most``.

    The columns of ``gp.extract_spectra`` follow ``model`` and the examples' labels; ``example`` is
    the example's position in the cell. The spectra of all these examples are in memory at once.
    """
    usable = cell.examples.select("key", "reason", *EXAMPLE_COLUMNS).with_row_index("row")
    usable = usable.filter(pl.col("reason").is_null(), *wanted).drop("reason")
    usable = usable if most is None else usable.head(most)
    examples = usable.with_columns(pl.col("row").cast(pl.Int64)).collect()
    stored = examples.lazy().select("row", "key").join(cell.rows_of(examples["key"]), on="key")
    table = full_spectra_table(stored.select(list(ROW_SCHEMA)).collect()).drop("reason")
    labels = examples.select(
        pl.lit(cell.model).alias("model"), *EXAMPLE_COLUMNS, pl.col("row").alias("example")
    )
    return labels.join(table, on="example", maintain_order="right")
