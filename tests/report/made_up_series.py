"""Made-up results of training runs: a base model and its checkpoints."""

import numpy as np
import polars as pl

from gradpipe.report.report_data import (
    REPORT_CLAIM_STEP_SCHEMA,
    REPORT_TREND_SCHEMA,
    STEP_SCHEMA,
    ReportInputs,
)
from gradpipe.report.steps import MOST_CLAIM_STEPS, models_that_count, thinned
from tests.report.made_up import curves_of, mad_of, provenance_of, rd_of, rows_of, unusable_of
from tests.report.made_up_examples import alignment_of, examples_of, extremes_of
from tests.report.made_up_grid import noisy
from tests.report.made_up_judged import claims_of, length_control_of, length_of, verdicts_of

BASE = "demo"
BENCHMARKS = {"gsm8k": "math", "strategyqa": "commonsense"}
STATISTICS = ("nuclear_norm", "effective_rank")


def series_inputs(
    checkpoints: int,
    series: tuple[str, ...] = ("sft",),
    layers: int = 8,
    statistics: tuple[str, ...] = STATISTICS,
    items: int = 12,
    noise: bool = False,
) -> ReportInputs:
    """Runs of ``checkpoints`` each, every 10 steps, from one base.

    The nuclear norm falls by half along a run, for ``none`` by three quarters. So the ratio of
    ``none`` to the others falls by half. With ``noise`` no two numbers are alike.
    """
    steps = steps_of_runs(checkpoints, series)
    names = steps["model"].unique(maintain_order=True).to_list()
    curves = _trained(curves_of([BASE], BENCHMARKS, layers, items, statistics), steps)
    curves = noisy(curves, 0) if noise else curves
    counting = models_that_count(names, steps)
    single = examples_of(counting, BENCHMARKS, items)
    no_twins = pl.DataFrame(schema={"base": pl.String, "tuned": pl.String})
    return ReportInputs(
        curves=curves,
        mad=mad_of(curves),
        rd=rd_of(curves),
        rows=rows_of(curves),
        unusable=unusable_of(curves.filter(pl.col("model") == BASE), "it was truncated"),
        provenance=provenance_of(names, BENCHMARKS),
        claims=claims_of(),
        verdicts=(verdicts := verdicts_of(counting, BENCHMARKS, no_twins, items)),
        length_control=length_control_of(verdicts),
        length=length_of(counting, BENCHMARKS, items),
        alignment=alignment_of(counting, BENCHMARKS, layers, items),
        examples=single,
        extremes=extremes_of(single, places=3, text="It is so."),
        steps=steps,
        **trends_of(steps),
    )


def steps_of_runs(checkpoints: int, series: tuple[str, ...]) -> pl.DataFrame:
    """The base at step 0 of every run, and its checkpoints every 10 steps."""
    rows = [
        (f"{run}@{10 * place}" if place else BASE, run, 10.0 * place)
        for run in series
        for place in range(checkpoints + 1)
    ]
    return pl.DataFrame(rows, schema=STEP_SCHEMA, orient="row")


def _trained(base: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """The base's curves at every step of every run, smaller and smaller."""
    once = steps.unique("model", keep="first", maintain_order=True)
    share = pl.col("step") / pl.col("step").max()
    run = pl.col("series").rank("dense") / 4
    pace = pl.when(pl.col("style") == "none").then(2.0).otherwise(1.0)
    shrunk = (-np.log(2) * share * (pace + run)).exp() * (1 + 0.02 * (pl.col("step") / 30).sin())
    crossed = base.drop("model").join(once, how="cross")
    return crossed.with_columns(pl.col("mean", "sd") * shrunk).select(base.columns)


def trends_of(steps: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A ratio per claim that halves along each run, and its trend."""
    measured = thinned(steps, MOST_CLAIM_STEPS)
    claims = claims_of().select("claim").with_row_index("place")
    share = pl.col("step") / pl.col("step").max()
    effect = (1.0 + 0.6 * pl.col("place")) * (-np.log(2) * share).exp()
    ratios = claims.join(measured, how="cross").with_columns(
        effect=effect, low=effect * 0.85, high=effect * 1.18, p=pl.lit(0.01), items=pl.lit(24)
    )
    verdict = pl.when(pl.col("low") > 1).then(pl.lit("supported"))
    verdict = verdict.when(pl.col("high") < 1).then(pl.lit("contradicted"))
    by_step = ratios.with_columns(verdict=verdict.otherwise(pl.lit("undecided")))
    trends = by_step.group_by("series", "claim", maintain_order=True).agg(
        steps=pl.len(),
        first=pl.col("effect").first(),
        last=pl.col("effect").last(),
        change=pl.lit(0.5),
        change_low=pl.lit(0.4),
        change_high=pl.lit(0.62),
        p=pl.lit(1e-4),
        tau=pl.lit(-1.0),
        tau_p=pl.lit(0.003),
        emerges=pl.when(pl.col("effect").last() > 1).then(0.0),
        emerges_low=pl.when(pl.col("effect").last() > 0.9).then(0.0),
        emerges_high=pl.when(pl.col("low").last() > 1).then(10.0),
        p_adjusted=pl.lit(1e-3),
    )
    tables = (
        ("trends", trends, REPORT_TREND_SCHEMA),
        ("claim_steps", by_step, REPORT_CLAIM_STEP_SCHEMA),
    )
    return {
        name: table.select(pl.col(column).cast(kind) for column, kind in schema.items())
        for name, table, schema in tables
    }
