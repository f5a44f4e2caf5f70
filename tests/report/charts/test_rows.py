"""The rows that charts draw, from the tables of a report."""

import polars as pl

from gradpipe.report.charts.kinds.correct_and_irrelevant import relevance_rows
from gradpipe.report.charts.kinds.mad_by_style import mad_rows
from gradpipe.report.report_data import ReportInputs


def with_rejected(table: pl.DataFrame) -> pl.DataFrame:
    """The table with a copy of its correct curves as those of rejected responses."""
    correct = table.filter(pl.col("relevance") == "correct")
    return pl.concat([table, correct.with_columns(relevance=pl.lit("rejected"))])


def test_rejected_responses_are_not_drawn_as_irrelevant_ones(inputs: ReportInputs) -> None:
    tables = inputs.curves, inputs.mad
    for rows_of, table in zip((relevance_rows, mad_rows), tables, strict=True):
        rows = rows_of(table)
        assert set(rows["relevance"]) == {"correct", "irrelevant"}
        assert rows_of(with_rejected(table)).equals(rows)


def test_correct_and_rejected_responses_alone_are_not_compared(inputs: ReportInputs) -> None:
    curves = with_rejected(inputs.curves).filter(pl.col("relevance") != "irrelevant")
    assert relevance_rows(curves).is_empty()
