"""The inputs of a report: the study's results as tables, and their provenance."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradpipe.claims.schemas import (
    CLAIM_SCHEMA,
    LENGTH_CONTROL_SCHEMA,
    LENGTH_SCHEMA,
    RANDOM_EFFECTS_SCHEMA,
    VERDICT_SCHEMA,
)
from gradpipe.claims.trends import CLAIM_STEP_SCHEMA, TREND_SCHEMA
from gradpipe.errors import DataError
from gradpipe.report.origins import ORIGIN_SCHEMA, REPORT_RESPONSE_SCHEMA
from gradpipe.statistics.decomposition import DECOMPOSITION_SCHEMA
from gradpipe.statistics.detection.added import ADDED_DISCRIMINATION_SCHEMA
from gradpipe.statistics.detection.discrimination import DISCRIMINATION_SCHEMA
from gradpipe.statistics.differences import MADS
from gradpipe.statistics.sets.cosines import SET_COSINE_SCHEMA
from gradpipe.statistics.sets.tables import SET_CONSENSUS_SCHEMA, SET_DIVERSITY_SCHEMA
from gradpipe.statistics.spans.contrasts import SPAN_CONTRAST_SCHEMA
from gradpipe.statistics.spans.curves import SPAN_SCHEMA
from gradpipe.statistics.spans.steps import STEP_TREND_SCHEMA

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
MAD_COLUMNS = (*REPORT_CURVE_COLUMNS[:7], "segment", *MADS)
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
        "by_judge": pl.Int64,
    }
)

#: One row per layer of a curve of cosines. ``kind`` is "same_layer" (``pair`` q_o, q_ot or k_v),
#: "next_layer" (``pair`` is a projection) or "responses": two responses to one item, of ``style``
#: and ``relevance``, and ``against_style`` and ``against_relevance`` (null for the other kinds).
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
#: One row per usable example: its statistics as means over all layers and projections.
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
#: The examples of each model × benchmark with the largest and smallest gradients (``end`` is
#: "largest" or "smallest", ``place`` counts from 1), with their texts and, for each projection,
#: the spectrum at the layer with the largest nuclear norm.
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
#: Tuned models and their base models, by their names in the tables.
TWIN_SCHEMA = pl.Schema({"base": pl.String, "tuned": pl.String})

#: The models that are checkpoints of a training run, or its base, which is at step 0.
STEP_SCHEMA = pl.Schema({"model": pl.String, "series": pl.String, "step": pl.Float64})
#: Trends of claims along a run; ``p_adjusted`` is ``p`` corrected for all of them (Holm).
REPORT_TREND_SCHEMA = pl.Schema({"series": pl.String(), **TREND_SCHEMA, "p_adjusted": pl.Float64()})
REPORT_CLAIM_STEP_SCHEMA = pl.Schema({"series": pl.String(), **CLAIM_STEP_SCHEMA})

#: Irrelevant, wrong and rejected responses (``first``) against the correct ones of the same style.
REPORT_DISCRIMINATION_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("model", "benchmark", "family", "style"), pl.String()),
        **DISCRIMINATION_SCHEMA,
    }
)
#: What the gradient adds to loss and length, for the same responses.
REPORT_ADDED_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("model", "benchmark", "family", "style"), pl.String()),
        **ADDED_DISCRIMINATION_SCHEMA,
    }
)

#: The required columns of each table; other columns are ignored.
COLUMNS = {
    "curves": REPORT_CURVE_COLUMNS,
    "mad": MAD_COLUMNS,
    "rd": RD_COLUMNS,
    "rows": ROWS_COLUMNS,
    "unusable": UNUSABLE_COLUMNS,
    "quality": tuple(QUALITY_COUNT_SCHEMA),
    "responses": tuple(REPORT_RESPONSE_SCHEMA),
    "origins": tuple(ORIGIN_SCHEMA),
    "claims": tuple(CLAIM_SCHEMA),
    "verdicts": tuple(VERDICT_SCHEMA),
    "verified": tuple(VERDICT_SCHEMA),
    "random_effects": tuple(RANDOM_EFFECTS_SCHEMA),
    "length": tuple(LENGTH_SCHEMA),
    "length_control": tuple(LENGTH_CONTROL_SCHEMA),
    "alignment": tuple(ALIGNMENT_SCHEMA),
    "examples": tuple(EXAMPLE_SCORE_SCHEMA),
    "extremes": tuple(EXTREME_SCHEMA),
    "twins": tuple(TWIN_SCHEMA),
    "spans": tuple(SPAN_SCHEMA),
    "span_contrasts": tuple(SPAN_CONTRAST_SCHEMA),
    "step_trends": tuple(STEP_TREND_SCHEMA),
    "discrimination": tuple(REPORT_DISCRIMINATION_SCHEMA),
    "set_diversity": tuple(SET_DIVERSITY_SCHEMA),
    "set_consensus": tuple(SET_CONSENSUS_SCHEMA),
    "set_cosines": tuple(SET_COSINE_SCHEMA),
    "decomposition": tuple(DECOMPOSITION_SCHEMA),
    "added": tuple(REPORT_ADDED_SCHEMA),
    "steps": tuple(STEP_SCHEMA),
    "trends": tuple(REPORT_TREND_SCHEMA),
    "claim_steps": tuple(REPORT_CLAIM_STEP_SCHEMA),
}


@dataclass(frozen=True)
class ReportInputs:
    """All results that a report shows, as tables, and their provenance.

    ``curves``: one row per layer of a curve, its mean and standard deviation over ``examples``.
    ``mad``: one row per curve and segment ("all", "early", "mid", "last"), from ``gp.mad``.
    ``rd``: correct as the reference, irrelevant as the other; ``largest_layers`` is a list.
    ``rows``: one row per model × benchmark × style × relevance with counts of examples and means.
    ``unusable``: one row per unusable example, with its reason.
    ``provenance``: "study" (dict), "study_yaml" (text), "models" and "benchmarks" (lists of dicts),
    "protocol" (dict), "gradients" (dicts: model, hardware, examples, tokens, seconds), "versions"
    (package to version), "created" (ISO time), "hardware" (text), "seconds" (of the parts of the
    run, before the page), "finished" ("cells" and "of": how many, if the others are still
    computed). The page marks missing ones.
    ``quality``: responses per verdict of the gates, by benchmark, writer and style. ``responses``:
    where each of them comes from; ``origins``: where those of ``extremes`` do.
    ``claims`` and ``verdicts``: claims about the results, and the verdicts on them. ``verified``:
    the overall verdicts without the responses that failed the gates, if any failed.
    ``random_effects``: their ratios in the populations of benchmarks and of models.
    ``length``: style comparisons with controls for length. ``length_control``: claims that compare
    styles, with the same controls over all cells. ``alignment``: curves of cosines.
    ``examples``: statistics per example. ``extremes``: the most extreme examples with their texts.
    ``twins``: pairs of base and tuned models. ``spans``: statistics of the parts of responses;
    ``span_contrasts`` and ``step_trends``: comparisons of them.
    ``discrimination``: how well irrelevant, wrong and rejected responses are distinguished from
    correct ones. ``added``: what the gradient adds to loss and length in this. ``set_diversity``,
    ``set_consensus`` and ``set_cosines``: in how many directions a set's gradients point, how far
    they agree, and how two sets compare. ``decomposition``: why the norms of two styles differ.
    ``steps``: which models are checkpoints of a series. ``trends`` and ``claim_steps``: claims
    along a series, and at each of its steps.
    Every table may be empty.

    Raises DataError if a table has no such column.
    """

    curves: pl.DataFrame
    mad: pl.DataFrame
    rd: pl.DataFrame
    rows: pl.DataFrame
    unusable: pl.DataFrame
    provenance: dict[str, Any]
    quality: pl.DataFrame = field(default_factory=QUALITY_COUNT_SCHEMA.to_frame)
    responses: pl.DataFrame = field(default_factory=REPORT_RESPONSE_SCHEMA.to_frame)
    origins: pl.DataFrame = field(default_factory=ORIGIN_SCHEMA.to_frame)
    claims: pl.DataFrame = field(default_factory=CLAIM_SCHEMA.to_frame)
    verdicts: pl.DataFrame = field(default_factory=VERDICT_SCHEMA.to_frame)
    verified: pl.DataFrame = field(default_factory=VERDICT_SCHEMA.to_frame)
    random_effects: pl.DataFrame = field(default_factory=RANDOM_EFFECTS_SCHEMA.to_frame)
    length: pl.DataFrame = field(default_factory=LENGTH_SCHEMA.to_frame)
    length_control: pl.DataFrame = field(default_factory=LENGTH_CONTROL_SCHEMA.to_frame)
    alignment: pl.DataFrame = field(default_factory=ALIGNMENT_SCHEMA.to_frame)
    examples: pl.DataFrame = field(default_factory=EXAMPLE_SCORE_SCHEMA.to_frame)
    extremes: pl.DataFrame = field(default_factory=EXTREME_SCHEMA.to_frame)
    twins: pl.DataFrame = field(default_factory=TWIN_SCHEMA.to_frame)
    spans: pl.DataFrame = field(default_factory=SPAN_SCHEMA.to_frame)
    span_contrasts: pl.DataFrame = field(default_factory=SPAN_CONTRAST_SCHEMA.to_frame)
    step_trends: pl.DataFrame = field(default_factory=STEP_TREND_SCHEMA.to_frame)
    discrimination: pl.DataFrame = field(default_factory=REPORT_DISCRIMINATION_SCHEMA.to_frame)
    set_diversity: pl.DataFrame = field(default_factory=SET_DIVERSITY_SCHEMA.to_frame)
    set_consensus: pl.DataFrame = field(default_factory=SET_CONSENSUS_SCHEMA.to_frame)
    set_cosines: pl.DataFrame = field(default_factory=SET_COSINE_SCHEMA.to_frame)
    decomposition: pl.DataFrame = field(default_factory=DECOMPOSITION_SCHEMA.to_frame)
    added: pl.DataFrame = field(default_factory=REPORT_ADDED_SCHEMA.to_frame)
    steps: pl.DataFrame = field(default_factory=STEP_SCHEMA.to_frame)
    trends: pl.DataFrame = field(default_factory=REPORT_TREND_SCHEMA.to_frame)
    claim_steps: pl.DataFrame = field(default_factory=REPORT_CLAIM_STEP_SCHEMA.to_frame)

    def __post_init__(self) -> None:
        for table, columns in COLUMNS.items():
            present = getattr(self, table).columns
            missing = [column for column in columns if column not in present]
            if missing:
                raise DataError(
                    f"The report's table {table!r} has no column {missing[0]!r}; "
                    f"it needs {', '.join(columns)} and has {', '.join(present) or 'none'}."
                )
