"""The rows of the table of verdicts: those of a claim's cells, and the one over all of them.

A cell is a model (or a tuned model and its base), benchmark and projection. Its p-value is adjusted
by Holm's method for all cells of the same claim that can be judged. A claim is supported overall if
the interval of the cells' mean effect supports it and no cell contradicts it, and contradicted
overall if that interval contradicts it and no cell supports it. A claim about each layer is about
each cell too: a mean would let opposite cells cancel. It is supported if all cells are within the
margin, without a correction for their number, and contradicted if a cell is outside and none
supports it.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.effects import Effects
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, standard_error
from gradpipe.claims.inference.decisions import decide, holm
from gradpipe.claims.inference.independence import independent_cells
from gradpipe.claims.layers import decide_layers
from gradpipe.claims.overall import BenchmarkTotal, combine_layer_cells, combine_totals
from gradpipe.claims.reasons import cell_agreement, cell_reason, overall_reason
from gradpipe.claims.schemas import VERDICT_SCHEMA

_RATIOS = ("effect", "low", "high")
_CELL = ("model", "against_model", "benchmark", "projection")
_OVERALL_TYPES = dict.fromkeys((*_RATIOS, "supported_p", "contradicted_p"), pl.Float64()) | {
    "items": pl.Int64(),
    "layers": pl.Int64(),
    "outside": pl.Int64(),
}


def cell_rows(claim: Claim, effects: Effects, counted: NDArray[np.bool_]) -> pl.DataFrame:
    """One row per projection: log ratios, and p-values if it can be judged."""
    items = effects.items
    lower, upper = (
        (end.value, standard_error(end.resampled, effects.units))
        for end in (effects.lower, effects.upper)
    )
    free = effects.degrees_of_freedom
    decided, counts = decide(lower, upper, free, claim.region), {}
    if effects.layers is not None:
        decided = decide_layers(effects.layers, effects.units, free, claim.region)
        counts = {"layers": decided.layers, "outside": decided.outside}
    known = np.isfinite(decided.low) & np.isfinite(decided.high)
    numbers = {
        "effect": (effects.effect, np.isfinite(effects.effect)),
        "low": (decided.low, known),
        "high": (decided.high, known),
        "supported_p": (decided.supported_p, counted),
        "contradicted_p": (decided.contradicted_p, counted),
    }
    labels = {
        "model": effects.model,
        "against_model": effects.against_model,
        "benchmark": effects.benchmark,
        "pairing": effects.pairing,
    }
    return pl.DataFrame(
        {name: [value] * items.size for name, value in labels.items()}
        | {"projection": effects.projections, "items": items}
        | {"defined": effects.defined, "units": effects.units}
        | {"effective_units": effects.effective_units}
        | {name: np.where(kept, values, np.nan) for name, (values, kept) in numbers.items()}
        | counts,
        schema_overrides={"against_model": pl.String},
        nan_to_null=True,
    )


def claim_verdicts(
    claim: Claim, frames: Sequence[pl.DataFrame], totals: Sequence[BenchmarkTotal]
) -> pl.DataFrame:
    """The rows of one claim: the overall verdict, then those of the cells."""
    cells = (
        _decided(pl.concat(frames), corrected=holm(pl.col("p")))
        .with_columns(pl.lit("cell").alias("level"), pl.col("p").count().alias("cells"))
        .sort("benchmark", "model", "against_model", "projection")
    )
    support, contradict = (
        pl.col("verdict").eq(verdict).sum().alias(name)
        for verdict, name in (("supported", "support"), ("contradicted", "contradict"))
    )
    items = sum(total.items for total in totals)
    worth = independent_cells((total.cells, total.squared_correlations) for total in totals)
    combined = (
        combine_layer_cells(cells) | {"items": items or None}
        if claim.quantity == "layers"
        else combine_totals(totals, claim.region)
    )
    overall = _decided(
        pl.DataFrame([combined], schema_overrides=_OVERALL_TYPES),
        corrected=pl.col("p"),
    ).with_columns(
        pl.lit("overall").alias("level"),
        *(pl.lit(None, pl.String).alias(name) for name in _CELL),
        *cells.select(
            pl.col("p").count().alias("cells"),
            pl.len().alias("all_cells"),
            pl.col("items").max().alias("most_items"),
            pl.when(pl.col("pairing").n_unique() == 1)
            .then(pl.col("pairing").first())
            .otherwise(pl.lit("mixed"))
            .alias("pairing"),
            support,
            contradict,
        ),
        pl.lit(worth, pl.Float64).alias("independent_cells"),
    )
    agreed = (
        pl.when(pl.col("verdict") == "supported", pl.col("contradict") > 0)
        .then(pl.lit("undecided"))
        .when(pl.col("verdict") == "contradicted", pl.col("support") > 0)
        .then(pl.lit("undecided"))
        .otherwise("verdict")
    )
    overall = overall.with_columns(agreed.alias("verdict"))
    overall_rows = overall.to_dicts()
    explained = (
        overall.with_columns(
            pl.Series("reason", [overall_reason(claim, row) for row in overall_rows], pl.String),
            pl.Series("agreement", [cell_agreement(row) for row in overall_rows], pl.String),
        ),
        cells.with_columns(
            pl.Series("reason", [cell_reason(claim, row) for row in cells.to_dicts()], pl.String),
            pl.lit(None, pl.String).alias("agreement"),
            pl.lit(None, pl.Float64).alias("independent_cells"),
        ),
    )
    return pl.concat(_as_verdicts(claim, frame) for frame in explained)


def _decided(frame: pl.DataFrame, corrected: pl.Expr) -> pl.DataFrame:
    """Add ``p`` (the smaller of the two), ``p_adjusted`` and the resulting ``verdict``."""
    sure = pl.col("p_adjusted") < 1 - CONFIDENCE_LEVEL
    return (
        frame.with_columns(pl.min_horizontal("supported_p", "contradicted_p").alias("p"))
        .with_columns(corrected.alias("p_adjusted"))
        .with_columns(
            pl.when(sure, pl.col("supported_p") <= pl.col("contradicted_p"))
            .then(pl.lit("supported"))
            .when(sure)
            .then(pl.lit("contradicted"))
            .otherwise(pl.lit("undecided"))
            .alias("verdict")
        )
    )


def _as_verdicts(claim: Claim, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in VERDICT_SCHEMA, with ratios instead of their logs."""
    return frame.with_columns(
        pl.lit(claim.claim).alias("claim"),
        *(pl.col(name).exp() for name in _RATIOS),
        # Control for length and the correction over all claims follow.
        survives_length=pl.lit(None, pl.String),
        p_study=pl.lit(None, pl.Float64),
        verdict_study=pl.lit(None, pl.String),
    ).select(pl.col(name).cast(kind) for name, kind in VERDICT_SCHEMA.items())
