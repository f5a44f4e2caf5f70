"""Tables of examples: counts, unusable examples, verdicts on responses, and scores."""

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.report_data import (
    EXAMPLE_SCORE_SCHEMA,
    QUALITY_COUNT_SCHEMA,
    ROWS_COLUMNS,
    UNUSABLE_COLUMNS,
)
from gradpipe.report.tables.curves import CURVE
from gradpipe.report.tables.table import ReportTable
from gradpipe.responses.provenance import THE_SOURCE, WRITER_SCHEMA, writers_of


def rows_table(rows: pl.DataFrame) -> ReportTable:
    """Counts of examples, unusable and truncated ones, and means of tokens and loss."""
    frame = in_reading_order(rows.select(ROWS_COLUMNS), *CURVE).select(
        *CURVE, pl.exclude(*CURVE, "family")
    )
    caption = "Examples by model, benchmark, style and relevance"
    return ReportTable("rows", caption, frame, heads=4, sections=2)


def reasons_table(unusable: pl.DataFrame) -> ReportTable:
    """Counts of unusable examples by model, benchmark and reason."""
    keys = ["model", "benchmark", "reason"]
    counts = unusable.group_by(keys).agg(pl.len().cast(pl.Int64).alias("examples"))
    return ReportTable(
        "unusable_reasons",
        "Unusable examples by reason",
        in_reading_order(counts, *keys),
        heads=3,
    )


def unusable_table(unusable: pl.DataFrame) -> ReportTable:
    """Every unusable example with its reason."""
    keys = ("model", "benchmark", "index", "style", "relevance")
    frame = in_reading_order(unusable.select(UNUSABLE_COLUMNS), *keys)
    return ReportTable("unusable", "Every unusable example", frame, heads=2)


def quality_table(quality: pl.DataFrame) -> ReportTable:
    """The gates' verdicts on responses, as shares of each style's responses.

    With the number that a judge gave, if it gave any.
    """
    keys = ["benchmark", "written_by", "style", "verdict"]
    frame = in_reading_order(quality.select(list(QUALITY_COUNT_SCHEMA)), *keys)
    if not frame["by_judge"].sum():
        frame = frame.drop("by_judge")
    return ReportTable(
        "quality",
        "Responses by the verdict of the gates",
        frame.with_columns(pl.col("verdict").str.replace_all("_", " ")),
        heads=4,
        labels={"rate": "share", "by_judge": "by the judge"},
    )


def writers_table(responses: pl.DataFrame) -> ReportTable:
    """Responses per benchmark, style and writer; no rows if no model wrote any."""
    keys = ["benchmark", "style", "written_by"]
    by_benchmark = responses.partition_by("benchmark", maintain_order=True)
    counts = [pl.DataFrame(schema={"benchmark": pl.String(), **WRITER_SCHEMA})]
    if (responses["written_by"] != THE_SOURCE).any():
        counts += [
            writers_of(rows).select(pl.lit(rows["benchmark"][0]).alias("benchmark"), pl.all())
            for rows in by_benchmark
        ]
    frame = in_reading_order(pl.concat(counts), *keys)
    return ReportTable(
        "responses_by_writer",
        "Responses by their writer. A call that several responses share costs once",
        frame.select(*keys, pl.exclude(keys)),
        heads=3,
        labels={"accepted": "share accepted", "mean_thinking": "mean tokens of thinking"},
    )


def examples_table(examples: pl.DataFrame) -> ReportTable:
    """Every usable example with its statistics as means over layers and projections."""
    keys = ["model", "benchmark", "index", "style", "relevance"]
    shown = [c for c in EXAMPLE_SCORE_SCHEMA if c not in (*keys, "family")]
    return ReportTable(
        "examples",
        "Every usable example: its statistics as means over layers and projections",
        in_reading_order(examples, *keys).select(*keys, *shown),
        heads=5,
        labels={"item_id": "item", "sigma1_ratio": "σ₁ ratio"},
    )
