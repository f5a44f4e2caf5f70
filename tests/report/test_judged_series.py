"""Claims along series, and what a report of a series counts, from made-up results of its cells."""

from dataclasses import replace

import polars as pl
import pytest

import gradpipe as gp
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.trends import claims_in_time
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.report.cell_results import CellResults
from gradpipe.report.collect import all_curves, gather
from gradpipe.report.judged_series import judge_series
from gradpipe.report.report_data import QUALITY_COUNT_SCHEMA, ReportInputs
from gradpipe.report.steps import MOST_DETAILED_STEPS
from gradpipe.statistics.alignment import ALIGNMENT_TABLE_SCHEMA
from gradpipe.statistics.sets.example_sets import EXAMPLE_SET_SCHEMA
from tests.claims.conftest import make_cell, make_table
from tests.report.made_up_series import BASE, steps_of_runs

CHECKPOINTS, ITEMS = 9, 12
CLAIM = parse_claim("none > detailed on nuclear_norm", ["nuclear_norm"])
EXAMPLE = ["item_id", "style", "relevance"]
STEPS = steps_of_runs(CHECKPOINTS, ("sft",))


def results(model: str, ratio: float) -> CellResults:
    """A checkpoint with this ratio of ``none`` to ``detailed``."""
    curves = {("none", "correct"): [4 * ratio, 2 * ratio], ("detailed", "correct"): [4.0, 2.0]}
    cell = make_cell([1, int(100 * ratio)], ITEMS, curves, noise=0.02, spread=0.1, model=model)
    statistics = make_table(cell).with_columns(
        pl.col("nuclear_norm").abs(),
        index=pl.col("item_id").str.tail(4).cast(pl.Int64),
        loss=pl.lit(1.5),
        tokens=pl.lit(40),
        response_tokens=pl.lit(20),
        sigma1_ratio=pl.lit(0.5),
        effective_rank=pl.lit(3.0),
    )
    labels = ("benchmark", "family", "index", "tokens", "response_tokens", "loss")
    examples = statistics.unique(EXAMPLE, maintain_order=True).select(
        *EXAMPLE,
        *labels,
        pl.concat_str(EXAMPLE).alias("key"),
        pl.concat_str(EXAMPLE).alias("example_id"),
        truncated=pl.lit(value=False),
        reason=pl.lit(None, pl.String),
        instruction=pl.lit("?"),
        response=pl.lit("!"),
        donor_item_id=pl.lit(None, pl.String),
        verdict=pl.lit(None, pl.String),
    )
    rows = pl.LazyFrame(schema={"key": pl.String, **ROW_SCHEMA}).drop("row")
    return CellResults(
        model=model,
        benchmark="b",
        examples=examples.lazy(),
        statistics=statistics.lazy(),
        alignments=ALIGNMENT_TABLE_SCHEMA.to_frame().lazy(),
        sets=EXAMPLE_SET_SCHEMA.to_frame().lazy(),
        rows_of=lambda keys: rows,
    )


@pytest.fixture(scope="module")
def cells() -> list[CellResults]:
    """The ratio falls from 3 to 0.6 along the run."""
    ratios = [3.0 * (0.2 ** (place / CHECKPOINTS)) for place in range(CHECKPOINTS + 1)]
    return [results(model, r) for model, r in zip(STEPS["model"], ratios, strict=True)]


@pytest.fixture(scope="module")
def collected(cells: list[CellResults]) -> ReportInputs:
    return gather(
        cells=cells,
        curve_table=all_curves(cells, ["nuclear_norm"]),
        claims=[CLAIM],
        twins=[(BASE, model) for model in STEPS["model"][1:]],
        seed=0,
        provenance={},
        quality=QUALITY_COUNT_SCHEMA.to_frame(),
        steps=STEPS,
    )


def test_the_verdicts_count_the_base_and_the_last_step(collected: ReportInputs) -> None:
    judged = collected.verdicts.filter(level="cell")
    assert set(judged["model"]) == {BASE, f"sft@{10 * CHECKPOINTS}"}


def test_curves_are_of_every_step_and_detail_of_few(collected: ReportInputs) -> None:
    assert collected.curves["model"].n_unique() == CHECKPOINTS + 1
    assert collected.mad["model"].n_unique() == CHECKPOINTS + 1
    assert collected.rows["model"].n_unique() == CHECKPOINTS + 1
    for table in (collected.length, collected.examples, collected.discrimination):
        assert table["model"].n_unique() in (0, MOST_DETAILED_STEPS)
    assert collected.examples.height > 0


def test_the_trend_is_that_of_gp_trends(collected: ReportInputs, cells: list[CellResults]) -> None:
    tables = [cell.statistics.collect() for cell in cells]
    found = gp.trends(tables, dict(STEPS.select("model", "step").iter_rows()), [CLAIM])
    assert collected.trends.select(found.columns).equals(found)
    row = collected.trends.row(0, named=True)
    assert row["change_high"] < 1
    assert row["series"] == "sft"
    assert row["p_adjusted"] == row["p"]
    assert row["emerges"] is None


def test_the_ratio_at_a_step_is_the_verdict_of_a_study_of_this_checkpoint_alone(
    collected: ReportInputs, cells: list[CellResults]
) -> None:
    for place in (0, 4, CHECKPOINTS):
        (at,) = collected.claim_steps.filter(model=cells[place].model).to_dicts()
        alone = gp.judge(cells[place].statistics.collect(), [CLAIM]).row(0, named=True)
        assert at["step"] == 10 * place
        assert (at["verdict"], at["items"]) == (alone["verdict"], alone["items"])
        for name in ("effect", "low", "high", "p"):
            assert at[name] == pytest.approx(alone[name], rel=1e-9), name


def test_p_values_are_corrected_for_all_series(cells: list[CellResults]) -> None:
    steps = pl.concat([STEPS, STEPS.with_columns(series=pl.lit("again"))])
    trends = judge_series(cells, [CLAIM], steps, seed=0).trends
    assert trends["series"].to_list() == ["sft", "again"]
    least = trends["p"].min()
    assert trends["p_adjusted"].to_list() == pytest.approx([2 * least, 2 * least])


def test_too_few_steps_have_ratios_and_no_trend(cells: list[CellResults]) -> None:
    found = judge_series(cells, [CLAIM], STEPS.head(3), seed=0)
    assert found.trends.is_empty()
    assert found.by_step["step"].to_list() == [0, 10, 20]


def test_a_claim_without_results_at_a_step_has_no_ratio_there(cells: list[CellResults]) -> None:
    empty = replace(cells[1], statistics=cells[1].statistics.filter(pl.col("style") == "none"))
    found = judge_series([cells[0], empty, *cells[2:6]], [CLAIM], STEPS, seed=0)
    assert found.by_step["step"].to_list() == [0, 20, 30, 40, 50]
    assert found.trends["steps"].to_list() == [5]


def test_without_steps_nothing_is_measured(cells: list[CellResults]) -> None:
    found = judge_series(cells, [CLAIM], STEPS.clear(), seed=0)
    assert found.trends.is_empty()
    assert found.by_step.is_empty()
    assert claims_in_time([cells[0].statistics], {}, []).trends.is_empty()
