"""Checkpoints in a report: which of them count as models, and which have detail."""

from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest

from gradpipe.report.report_data import STEP_SCHEMA, ReportInputs
from gradpipe.report.steps import (
    MOST_DETAILED_STEPS,
    detailed_models,
    evenly_spaced,
    models_that_count,
    step_table,
    steps_of,
    thinned,
    with_detail,
)
from gradpipe.studies.model_config import ModelConfig
from tests.report.made_up_series import BASE, series_inputs, steps_of_runs


@pytest.fixture(scope="module")
def long_run() -> ReportInputs:
    return series_inputs(40, layers=2, statistics=("nuclear_norm",))


def test_the_steps_of_a_study_are_those_of_its_checkpoints_and_their_base() -> None:
    models = [
        ModelConfig(id="org/base"),
        ModelConfig.model_validate({"id": "./a", "series": "sft", "step": 100, "base": "org/base"}),
        ModelConfig.model_validate(
            {"id": "./b", "series": "sft", "step": 50.5, "base": "org/base"}
        ),
        ModelConfig(id="another"),
    ]
    assert step_table(models).rows() == [
        ("org/base", "sft", 0.0),
        ("sft@50.5", "sft", 50.5),
        ("sft@100", "sft", 100.0),
    ]


def test_a_checkpoint_of_step_0_stands_before_the_base() -> None:
    models = [
        ModelConfig.model_validate({"id": "./a", "series": "sft", "step": step, "base": "base"})
        for step in (0, 10)
    ]
    assert step_table(models)["model"].to_list() == ["sft@0", "sft@10"]


def test_a_study_without_series_has_no_steps() -> None:
    assert step_table([ModelConfig(id="demo")]).equals(STEP_SCHEMA.to_frame())


def test_a_run_of_500_checkpoints_counts_as_its_base_and_its_last_step() -> None:
    steps = steps_of_runs(500, ("sft", "lora"))
    models = ["other", *steps["model"].unique(maintain_order=True)]
    assert models_that_count(models, steps) == ["other", BASE, "sft@5000", "lora@5000"]


def test_the_last_step_is_the_last_one_with_results() -> None:
    steps = steps_of_runs(5, ("sft",))
    assert models_that_count([BASE, "sft@10", "sft@20"], steps) == [BASE, "sft@20"]


def test_detail_is_for_the_ends_of_a_run_and_evenly_spaced_steps_between() -> None:
    steps = steps_of_runs(500, ("sft",))
    models = steps["model"].to_list()
    kept = detailed_models(["other", *models], steps)
    assert kept == ["other", BASE, *(f"sft@{step}" for step in (1000, 2000, 3000, 4000, 5000))]
    few = steps_of_runs(MOST_DETAILED_STEPS - 1, ("sft",))
    assert detailed_models(few["model"].to_list(), few) == few["model"].to_list()


@pytest.mark.parametrize(("count", "most"), [(1, 5), (7, 7), (8, 7), (500, 60), (500, 2)])
def test_evenly_spaced_steps_keep_both_ends(count: int, most: int) -> None:
    steps = [float(step) for step in range(count)]
    kept = evenly_spaced(steps, most)
    assert len(kept) == min(count, most)
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    gaps = {later - earlier for earlier, later in pairwise(kept)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


def test_each_series_is_thinned_by_itself() -> None:
    steps = pl.concat([steps_of_runs(50, ("long",)), steps_of_runs(3, ("short",))])
    counts = dict(thinned(steps, 6).group_by("series").len().iter_rows())
    assert counts == {"long": 6, "short": 4}


def test_only_the_tables_of_single_models_are_without_the_other_checkpoints(
    long_run: ReportInputs,
) -> None:
    shown = with_detail(long_run)
    assert shown.curves["model"].n_unique() == MOST_DETAILED_STEPS
    assert shown.mad["model"].n_unique() == MOST_DETAILED_STEPS
    for table in ("rows", "steps", "claim_steps", "trends", "claims"):
        assert getattr(shown, table).equals(getattr(long_run, table))
    # Overall verdicts have no model.
    overall = {"level": "overall"}
    assert shown.verdicts.filter(**overall).equals(long_run.verdicts.filter(**overall))


def test_verdicts_on_a_family_of_models_stay_beside_those_of_a_long_run(
    long_run: ReportInputs,
) -> None:
    of_family = long_run.verdicts.filter(level="cell").head(1).with_columns(model=pl.lit("wren"))
    both = replace(long_run, verdicts=pl.concat([long_run.verdicts, of_family]))
    assert with_detail(both).verdicts.filter(model="wren").height == 1


def test_without_a_long_series_nothing_is_left_out(inputs: ReportInputs) -> None:
    assert with_detail(inputs) is inputs


def test_steps_may_be_given_by_model_or_as_a_table() -> None:
    by_model = steps_of({"a": 1, "b": 2})
    assert by_model.rows() == [("a", "run", 1.0), ("b", "run", 2.0)]
    assert steps_of(by_model.lazy()).equals(by_model)
