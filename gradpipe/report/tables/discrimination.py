"""The tables of discrimination: what the gradient says of a response beside its loss and length."""

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.style import STATISTIC_LABELS, statistic_label
from gradpipe.report.tables.table import ReportTable, projections_of, where
from gradpipe.statistics.detection.added import MODELS
from gradpipe.statistics.detection.discrimination import BASELINES
from gradpipe.statistics.examples import SCORES

_COMPARISON = ["model", "benchmark", "style", "first"]
_ENDS = {"auroc": "AUROC", "auroc_low": "from", "auroc_high": "to"}
_ADDED = {"added": "AUROC", "added_low": "from", "added_high": "to"}


def discrimination_table(discrimination: pl.DataFrame) -> ReportTable:
    """AUROCs of SCORES as means over layers, by projection, beside those of the baselines."""
    whole = discrimination.filter(pl.col("layer").is_null())
    gradients = whole.filter(pl.col("statistic").is_in(SCORES))
    free = whole.filter(pl.col("statistic").is_in(BASELINES))
    projections = projections_of(gradients)
    baselines = [
        where(end, statistic=name).alias(f"{end}_{name}") for end in _ENDS for name in BASELINES
    ]
    beside = free.group_by(_COMPARISON).agg(pl.col("items").first(), *baselines)
    frame = (
        gradients.group_by(*_COMPARISON, "statistic")
        .agg(where(end, projection=p).alias(f"{end}_{p}") for end in _ENDS for p in projections)
        .join(beside, on=_COMPARISON, how="left")
    )
    shown = [f"{end}_{name}" for end in _ENDS for name in (*projections, *BASELINES)]
    return ReportTable(
        "discrimination",
        "AUROC of irrelevant, wrong and rejected responses against the correct ones of the same "
        "style, with 95 % intervals: means of a statistic over layers, by projection, beside the "
        "loss and the number of response tokens",
        in_reading_order(frame, *_COMPARISON, "statistic").select(
            *_COMPARISON[:3],
            pl.col("first").alias("relevance"),
            pl.col("statistic").replace(STATISTIC_LABELS).alias("measure"),
            "items",
            *shown,
        ),
        heads=6,
        groups=[(name, len(projections) + len(BASELINES)) for name in _ENDS.values()],
        labels={
            f"{end}_{name}": statistic_label(name) if name in BASELINES else name
            for end in _ENDS
            for name in (*projections, *BASELINES)
        },
        sections=2,
    )


def added_table(added: pl.DataFrame) -> ReportTable:
    """AUROCs of models of loss and length, of the gradient, and of both, and what it adds."""
    return ReportTable(
        "added_discrimination",
        "AUROC of logistic models of loss and length, of the gradient, and of both, on items that "
        "they were not trained on; and what the gradient adds, with its 95 % interval",
        in_reading_order(added, *_COMPARISON).select(
            *_COMPARISON[:3],
            pl.col("first").alias("relevance"),
            "items",
            *MODELS,
            *_ADDED,
            pl.col("reason").alias("no_auroc"),
        ),
        heads=5,
        groups=[("AUROC", len(MODELS)), ("added by the gradient", len(_ADDED)), ("missing", 1)],
        labels={"baselines": "loss, length", **_ADDED, "no_auroc": "reason"},
        sections=2,
    )
