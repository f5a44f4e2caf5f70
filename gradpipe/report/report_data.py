"""What a report is made from: the study's results as plain tables, and where they come from."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradpipe.claims.schemas import CLAIM_SCHEMA, LENGTH_SCHEMA, VERDICT_SCHEMA
from gradpipe.errors import DataError

REPORT_CURVE_COLUMNS = (
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
MAD_COLUMNS = (*REPORT_CURVE_COLUMNS[:7], "segment", "mad")
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

QUALITY_COUNT_SCHEMA = pl.Schema(
    {
        "benchmark": pl.String,
        "written_by": pl.String,
        "style": pl.String,
        "verdict": pl.String,
        "responses": pl.Int64,
        "rate": pl.Float64,
    }
)

#: One row a layer of a curve of cosines. ``kind`` is "same_layer" (``pair`` q_o, q_ot or k_v),
#: "next_layer" (``pair`` a projection) or "responses": one item's two responses, of ``style`` and
#: ``relevance`` against ``against_style`` and ``against_relevance`` (null for the other kinds).
ALIGNMENT_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "benchmark": pl.String,
        "family": pl.String,
        "kind": pl.String,
        "pair": pl.String,
        "style": pl.String,
        "relevance": pl.String,
        "against_style": pl.String,
        "against_relevance": pl.String,
        "layer": pl.Int64,
        "mean": pl.Float64,
        "sd": pl.Float64,
        "examples": pl.Int64,
    }
)
#: One row a usable example: its statistics as means over all layers and projections.
EXAMPLE_SCORE_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "benchmark": pl.String,
        "family": pl.String,
        "item_id": pl.String,
        "index": pl.Int64,
        "style": pl.String,
        "relevance": pl.String,
        "tokens": pl.Int64,
        "response_tokens": pl.Int64,
        "loss": pl.Float64,
        "nuclear_norm": pl.Float64,
        "effective_rank": pl.Float64,
        "sigma1_ratio": pl.Float64,
    }
)
#: The examples of each model × benchmark with the largest and smallest gradients (``end``:
#: "largest" or "smallest", ``place`` from 1), their texts, and for each projection the spectrum
#: at the layer where it is largest.
EXTREME_SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        "benchmark": pl.String(),
        "end": pl.String(),
        "place": pl.Int64(),
        "item_id": pl.String(),
        "index": pl.Int64(),
        "style": pl.String(),
        "relevance": pl.String(),
        "response_tokens": pl.Int64(),
        "loss": pl.Float64(),
        "nuclear_norm": pl.Float64(),
        "instruction": pl.String(),
        "response": pl.String(),
        "spectra": pl.List(
            pl.Struct(
                {
                    "projection": pl.String,
                    "layer": pl.Int64,
                    "singular_values": pl.List(pl.Float32),
                }
            )
        ),
    }
)
#: Models and what they were tuned from, both by the names that tables have for them.
TWIN_SCHEMA = pl.Schema({"base": pl.String, "tuned": pl.String})

#: The columns each table must have; more are allowed and go unused.
COLUMNS = {
    "curves": REPORT_CURVE_COLUMNS,
    "mad": MAD_COLUMNS,
    "rd": RD_COLUMNS,
    "rows": ROWS_COLUMNS,
    "unusable": UNUSABLE_COLUMNS,
    "quality": tuple(QUALITY_COUNT_SCHEMA),
    "claims": tuple(CLAIM_SCHEMA),
    "verdicts": tuple(VERDICT_SCHEMA),
    "length": tuple(LENGTH_SCHEMA),
    "alignment": tuple(ALIGNMENT_SCHEMA),
    "examples": tuple(EXAMPLE_SCORE_SCHEMA),
    "extremes": tuple(EXTREME_SCHEMA),
    "twins": tuple(TWIN_SCHEMA),
}


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report says, as tables and a record of provenance.

    ``curves``: one row a layer of a curve, its mean and standard deviation over ``examples``.
    ``mad``: one row a curve and segment ("all", "early", "mid", "last").
    ``rd``: correct as the reference, irrelevant as the other; ``largest_layers`` is a list.
    ``rows``: one row a model × benchmark × style × relevance: what was run, in examples and tokens.
    ``unusable``: one row an example that could not be used, with its reason.
    ``provenance``: "study" (dict), "study_yaml" (text), "models" and "benchmarks" (lists of dicts),
    "protocol" (dict), "gradients" (dicts: what was computed on what, and how long), "versions"
    (package to version), "created" (ISO time), "hardware" (text). Missing ones are shown as such.
    ``quality``: how many responses got which verdict of the gates, by benchmark, writer and style.
    ``claims`` and ``verdicts``: what was asked of the results, and how that was decided.
    ``length``: style comparisons with length held still. ``alignment``: curves of cosines.
    ``examples``, ``extremes``: each example's own statistics; those at the ends with their texts.
    ``twins``: which models are tuned from which. All of these may be empty.

    Raises DataError if a table has no such column.
    """

    curves: pl.DataFrame
    mad: pl.DataFrame
    rd: pl.DataFrame
    rows: pl.DataFrame
    unusable: pl.DataFrame
    provenance: dict[str, Any]
    quality: pl.DataFrame = field(default_factory=QUALITY_COUNT_SCHEMA.to_frame)
    claims: pl.DataFrame = field(default_factory=CLAIM_SCHEMA.to_frame)
    verdicts: pl.DataFrame = field(default_factory=VERDICT_SCHEMA.to_frame)
    length: pl.DataFrame = field(default_factory=LENGTH_SCHEMA.to_frame)
    alignment: pl.DataFrame = field(default_factory=ALIGNMENT_SCHEMA.to_frame)
    examples: pl.DataFrame = field(default_factory=EXAMPLE_SCORE_SCHEMA.to_frame)
    extremes: pl.DataFrame = field(default_factory=EXTREME_SCHEMA.to_frame)
    twins: pl.DataFrame = field(default_factory=TWIN_SCHEMA.to_frame)

    def __post_init__(self) -> None:
        for table, columns in COLUMNS.items():
            present = getattr(self, table).columns
            missing = [column for column in columns if column not in present]
            if missing:
                raise DataError(
                    f"The report's table {table!r} has no column {missing[0]!r}; "
                    f"it needs {', '.join(columns)} and has {', '.join(present) or 'none'}."
                )
