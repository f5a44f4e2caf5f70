"""What a report is made from: the study's results as plain tables, and where they come from."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradpipe.errors import DataError

CURVE_COLUMNS = (
    "model",
    "benchmark",
    "family",
    "style",
    "relevance",
    "projection",
    "statistic",
    "layer",
    "mean",
    "sd",
    "examples",
)
MAD_COLUMNS = (*CURVE_COLUMNS[:7], "segment", "mad")
RD_COLUMNS = (
    "model",
    "benchmark",
    "family",
    "style",
    "projection",
    "statistic",
    "rd",
    "largest_layers",
)
ROWS_COLUMNS = (
    "model",
    "benchmark",
    "family",
    "style",
    "relevance",
    "examples",
    "unusable",
    "truncated",
    "mean_tokens",
    "mean_response_tokens",
    "mean_loss",
)
UNUSABLE_COLUMNS = (
    "model",
    "benchmark",
    "index",
    "style",
    "relevance",
    "example_id",
    "reason",
)

QUALITY_SCHEMA = pl.Schema(
    {
        "benchmark": pl.String,
        "written_by": pl.String,
        "style": pl.String,
        "verdict": pl.String,
        "responses": pl.Int64,
        "rate": pl.Float64,
    }
)

#: The columns each table must have; more are allowed and go unused.
COLUMNS = {
    "curves": CURVE_COLUMNS,
    "mad": MAD_COLUMNS,
    "rd": RD_COLUMNS,
    "rows": ROWS_COLUMNS,
    "unusable": UNUSABLE_COLUMNS,
    "quality": tuple(QUALITY_SCHEMA),
}


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report says, as six tables and a record of provenance.

    ``curves``: one row a layer of a curve, its mean and standard deviation over ``examples``.
    ``mad``: one row a curve and segment ("all", "early", "mid", "last").
    ``rd``: correct as the reference, irrelevant as the other; ``largest_layers`` is a list.
    ``rows``: one row a model × benchmark × style × relevance: what was run, in examples and tokens.
    ``unusable``: one row an example that could not be used, with its reason.
    ``provenance``: "study" (dict), "study_yaml" (text), "models" and "benchmarks" (lists of dicts),
    "protocol" (dict), "versions" (package to version), "created" (ISO time), "hardware" (text).
    Missing keys of it are shown as missing.
    ``quality``: how many responses got which verdict of the gates, by benchmark, writer and style.

    Raises DataError where a table lacks a column.
    """

    curves: pl.DataFrame
    mad: pl.DataFrame
    rd: pl.DataFrame
    rows: pl.DataFrame
    unusable: pl.DataFrame
    provenance: dict[str, Any]
    quality: pl.DataFrame = field(default_factory=QUALITY_SCHEMA.to_frame)

    def __post_init__(self) -> None:
        for table, columns in COLUMNS.items():
            present = getattr(self, table).columns
            missing = [column for column in columns if column not in present]
            if missing:
                raise DataError(
                    f"The report's table {table!r} lacks the column {missing[0]!r}; "
                    f"it needs {', '.join(columns)} and has {', '.join(present) or 'none'}."
                )
