"""Statistics at the steps of training runs, from the curves, MADs and RDs of their checkpoints."""

import polars as pl

from gradpipe.report.chart_data import finite, in_reading_order, with_errors
from gradpipe.report.report_data import ReportInputs

#: What charts over steps show of a statistic.
STEP_QUANTITIES = {"mean": "mean over layers", "mad": "MAD", "rd": "RD (irrelevant, correct)"}

_LINE = ("series", "benchmark", "quantity", "statistic", "projection", "style", "step")
_COLUMNS = (*_LINE, "model", "value", "low", "high")


def step_values(inputs: ReportInputs) -> pl.DataFrame:
    """Mean over layers, MAD and RD of each statistic at each step.

    One row per series, benchmark, ``quantity`` ("mean", "mad", "rd"), statistic, projection, style
    and step. The responses are the correct ones, and the irrelevant ones against them for RD.
    """
    tables = (means_by_step, mads_by_step, rds_by_step)
    sources = (inputs.curves, inputs.mad, inputs.rd)
    parts = [table(source, inputs.steps) for table, source in zip(tables, sources, strict=True)]
    return in_reading_order(pl.concat(parts).sort("step"), *_LINE[:-1])


def means_by_step(curves: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """The means of curves over layers, with a band of one standard error each side.

    The error is the mean of the layers' errors, as if the same examples were large in each.
    """
    labels = ["model", "benchmark", "statistic", "projection", "style"]
    of_correct = with_errors(_of_checkpoints(curves, steps).filter(_CORRECT))
    means = of_correct.group_by(labels).agg(pl.col("mean").mean(), pl.col("se").mean())
    error = pl.col("se").fill_null(0.0)
    return _at_steps(
        means.with_columns(value="mean", low=pl.col("mean") - error, high=pl.col("mean") + error),
        steps,
        "mean",
    )


def mads_by_step(mads: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """The MADs of the curves of correct responses over all layers."""
    whole = _of_checkpoints(mads, steps).filter(_CORRECT, pl.col("segment") == "all")
    return _at_steps(_without_band(whole, "mad"), steps, "mad")


def rds_by_step(rds: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """The RDs of the curves of irrelevant responses from those of correct ones."""
    return _at_steps(_without_band(_of_checkpoints(rds, steps), "rd"), steps, "rd")


def layers_by_step(curves: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses at each step, and their ``change`` since the first step.

    ``change`` is the ratio of the layer's mean to that of the same layer at the series' first step.
    """
    keys = ["series", "benchmark", "statistic", "style", "projection", "layer"]
    rows = (
        _of_checkpoints(curves, steps)
        .filter(_CORRECT)
        .with_columns(finite("mean"))
        .drop_nulls("mean")
        .join(steps, on="model")
        .sort("step")
        .with_columns(change=pl.col("mean") / pl.col("mean").first().over(keys))
        .filter(pl.col("change").is_finite(), pl.col("change") > 0)
    )
    ordered = in_reading_order(rows, "series", "benchmark", "statistic", "style", "projection")
    return ordered.select(*keys, "step", "model", "mean", "change")


_CORRECT = pl.col("relevance") == "correct"


def _of_checkpoints(table: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    return table.join(steps.select("model").unique(), on="model", how="semi")


def _without_band(table: pl.DataFrame, column: str) -> pl.DataFrame:
    value = pl.col(column)
    return table.with_columns(value=value, low=value, high=value)


def _at_steps(table: pl.DataFrame, steps: pl.DataFrame, quantity: str) -> pl.DataFrame:
    rows = table.filter(pl.col("value").is_finite()).join(steps, on="model")
    return rows.with_columns(quantity=pl.lit(quantity)).select(_COLUMNS)
