"""Tables of verdicts, and of style comparisons with length held constant."""

import polars as pl

from gradpipe.claims.schemas import COMPARISON_SOURCE, LENGTH_SCHEMA, STUDY_SOURCE
from gradpipe.report.chart_data import finite, in_reading_order
from gradpipe.report.prose.phrases import CLAIM_VERDICTS
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import ReportTable, projections_of, where

CONTROL_LABELS = {
    "none": "as measured",
    "summed_loss": "summed loss",
    "matched": "matched length",
    "regression": "regression on length",
}
_MEASURED = ["verdict", "effect", "low", "high", "p", "p_adjusted", "items", "pairing", "reason"]
_LABELS = {
    "title": "claim",
    "statement": "part",
    "effect": "ratio",
    "low": "interval from",
    "high": "to",
    "p_adjusted": "adjusted p",
    "verdict_study": "verdict, all claims",
    "p_study": "p, all claims",
    "independent_cells": "independent cells",
    "against_model": "against",
    "survives_length": "survives length control",
}


def overall_table(inputs: ReportInputs) -> ReportTable:
    """The verdict on each part of a claim over all cells, and the counts of the cells' verdicts."""
    counts = (
        inputs.verdicts.filter(pl.col("level") == "cell")
        .group_by("claim")
        .agg(
            pl.len().cast(pl.Int64).alias("cells"),
            *((pl.col("verdict") == v).sum().cast(pl.Int64).alias(v) for v in CLAIM_VERDICTS),
        )
    )
    judged = inputs.verdicts.filter(pl.col("level") == "overall").join(
        counts, on="claim", how="left"
    )
    reason = pl.concat_str("reason", "agreement", separator="; ", ignore_nulls=True)
    verdict, *measured = _MEASURED[:-1]
    frame = with_claims(judged.with_columns(reason), inputs.claims).select(
        *("title", "statement", "source", verdict, "survives_length", *measured),
        *("p_study", "verdict_study", "cells", "independent_cells", *CLAIM_VERDICTS, "reason"),
    )
    caption = "Verdicts over all models, benchmarks and projections"
    return ReportTable("verdicts_overall", caption, frame, heads=2, labels=_LABELS, sections=1)


def verdict_table(inputs: ReportInputs) -> ReportTable:
    """The verdict on each part of a claim per cell: model, benchmark and projection."""
    heads = ["title", "statement", "model", "against_model", "benchmark", "projection"]
    judged = with_claims(_cells(inputs.verdicts), inputs.claims)
    frame = judged.select(*heads, *_MEASURED)
    caption = "Verdicts by model, benchmark and projection"
    return ReportTable("verdicts", caption, frame, heads=6, labels=_LABELS, sections=2)


def verdict_grid_table(inputs: ReportInputs) -> ReportTable:
    """The cells' verdicts: one row per model and benchmark, one column per projection."""
    projections = projections_of(inputs.verdicts)
    keys = ["claim", "model", "against_model", "benchmark"]
    rows = _cells(inputs.verdicts).group_by(keys, maintain_order=True)
    both = [(value, p) for value in ("effect", "verdict") for p in projections]
    values = rows.agg(where(value, projection=p).alias(f"{value}_{p}") for value, p in both)
    heads = ["statement", "model", "against_model", "benchmark"]
    if not values.get_column("against_model").count():
        heads.remove("against_model")
    return ReportTable(
        "verdicts_by_projection",
        "Ratios and verdicts by projection",
        with_claims(values, inputs.claims).select(*heads, *(f"{v}_{p}" for v, p in both)),
        heads=len(heads),
        groups=[("ratio", len(projections)), ("verdict", len(projections))],
        labels=_LABELS | {f"{value}_{p}": p for value, p in both},
        sections=1,
    )


def length_table(length: pl.DataFrame) -> ReportTable:
    """Each style comparison as measured, and with length held constant.

    The ratio of ``style`` to ``against`` with its 95 % interval, for each control.
    """
    keys = ["model", "benchmark", "style", "against", "quantity", "projection"]
    rows = length.with_columns(finite(c) for c in ("effect", "low", "high"))
    present = set(length.get_column("control"))
    controls = [c for c in CONTROL_LABELS if c in present]
    parts = {"effect": "ratio", "low": "from", "high": "to"}
    values = [
        where(part, control=control).alias(f"{control}_{part}")
        for control in controls
        for part in parts
    ]
    quantities = {"mean": "mean", "mad": "MAD"}
    frame = rows.group_by(keys).agg(*values, pl.col("items").max())
    return ReportTable(
        "length",
        "Ratios of one style to another with their 95 % intervals, as measured and with length "
        "held constant",
        in_reading_order(frame, *keys).with_columns(pl.col("quantity").replace(quantities)),
        heads=len(keys),
        groups=[*((CONTROL_LABELS[c], len(parts)) for c in controls), ("sample", 1)]
        if controls
        else [],
        labels={f"{c}_{part}": label for c in controls for part, label in parts.items()},
        sections=2,
    )


def length_in_full(length: pl.DataFrame) -> pl.DataFrame:
    """One row per style comparison and control, with all columns."""
    keys = ["model", "benchmark", "style", "against", "quantity", "projection", "control"]
    return in_reading_order(length.select(list(LENGTH_SCHEMA)), *keys)


def length_control_in_full(inputs: ReportInputs) -> pl.DataFrame:
    """One row per claim that compares two styles and control for length, with all columns."""
    named = inputs.claims.select("claim", "statement")
    return inputs.length_control.join(named, on="claim", how="left", maintain_order="left")


def claims_in_order(claims: pl.DataFrame) -> pl.DataFrame:
    """The claims in the order they are shown: the study's own, on its styles, those of papers."""
    compared = pl.col("source") == COMPARISON_SOURCE
    rank = pl.when(pl.col("source") == STUDY_SOURCE).then(0).when(compared).then(1).otherwise(2)
    return claims.sort(rank, maintain_order=True)


def with_claims(verdicts: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """Verdicts joined with their claims, in the order of `claims_in_order`."""
    ranked = claims_in_order(claims).with_row_index("rank")
    joined = verdicts.join(ranked, on="claim", maintain_order="left")
    return joined.sort("rank", maintain_order=True)


def _cells(verdicts: pl.DataFrame) -> pl.DataFrame:
    return in_reading_order(
        verdicts.filter(pl.col("level") == "cell"), "model", "benchmark", "projection"
    )
