"""Statistics at the steps of a run, against loops over the same curves."""

import numpy as np
import polars as pl
import pytest

from gradpipe.report.report_data import ReportInputs
from gradpipe.report.step_values import layers_by_step, step_values
from tests.report.made_up_series import BASE, series_inputs

PLACE = {"benchmark": "gsm8k", "projection": "v", "statistic": "effective_rank", "style": "none"}


@pytest.fixture(scope="module")
def runs() -> ReportInputs:
    return series_inputs(3, ("sft", "lora"), layers=4, noise=True)


def of_layers(inputs: ReportInputs, model: str) -> pl.DataFrame:
    return inputs.curves.filter(relevance="correct", model=model, **PLACE).sort("layer")


def test_the_value_at_each_step_is_that_of_its_checkpoint(runs: ReportInputs) -> None:
    values = step_values(runs).filter(**PLACE, series="sft")
    for step, model in ((0, BASE), (10, "sft@10"), (30, "sft@30")):
        at = {row["quantity"]: row for row in values.filter(step=step).to_dicts()}
        curve = of_layers(runs, model)
        mean = np.mean(curve["mean"].to_list())
        error = np.mean((curve["sd"] / curve["examples"].sqrt()).to_list())
        assert at["mean"]["value"] == pytest.approx(mean)
        assert at["mean"]["high"] - at["mean"]["low"] == pytest.approx(2 * error)
        assert at["mad"]["value"] == pytest.approx(
            runs.mad.filter(relevance="correct", segment="all", model=model, **PLACE)["mad"].item()
        )
        assert at["rd"]["value"] == pytest.approx(runs.rd.filter(model=model, **PLACE)["rd"].item())


def test_the_base_is_at_step_0_of_every_series(runs: ReportInputs) -> None:
    at_base = step_values(runs).filter(step=0)
    assert set(at_base["model"]) == {BASE}
    assert set(at_base["series"]) == {"sft", "lora"}


def test_a_layers_change_is_its_ratio_to_the_first_step(runs: ReportInputs) -> None:
    cells = layers_by_step(runs.curves, runs.steps).filter(**PLACE, series="lora", layer=2)
    means = [of_layers(runs, model)["mean"][2] for model in (BASE, "lora@10", "lora@20", "lora@30")]
    assert cells["step"].to_list() == [0, 10, 20, 30]
    assert cells["change"].to_list() == pytest.approx([mean / means[0] for mean in means])


def test_values_that_are_not_finite_are_left_out(runs: ReportInputs) -> None:
    broken = runs.curves.with_columns(
        pl.when(pl.col("model") == "sft@10").then(float("nan")).otherwise("mean").alias("mean")
    )
    cells = layers_by_step(broken, runs.steps)
    assert "sft@10" not in set(cells["model"])
    assert cells["change"].is_finite().all()


def test_a_study_without_series_has_no_values(inputs: ReportInputs) -> None:
    assert step_values(inputs).is_empty()
