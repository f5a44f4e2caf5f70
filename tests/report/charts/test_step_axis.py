"""The axis of training steps: its ticks and its place for step 0."""

from typing import Any

import altair as alt
import polars as pl
import pytest
import vl_convert

from gradpipe.report.charts.step_axis import STEP_LABEL, step_axis, step_extent


def axis_of(steps: list[float], log: bool) -> dict[str, Any]:
    encoded: dict[str, object] = step_axis(
        step_extent(pl.DataFrame({"step": steps})), log
    ).to_dict()
    return encoded


def test_the_extent_is_the_first_steps_and_the_last() -> None:
    assert step_extent(pl.DataFrame({"step": [30.0, 0.0, 10.0]})) == (0.0, 10.0, 30.0)
    assert step_extent(pl.DataFrame({"step": [20.0, 10.0]})) == (10.0, 10.0, 20.0)
    assert step_extent(pl.DataFrame(schema={"step": pl.Float64})) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        ([0.0, 10.0, 60.0], [0, 10, 20, 50]),
        ([0.0, 1.0, 100.0], [0, 1, 2, 5, 10, 20, 50, 100]),
        ([100.0, 500.0], [100, 200, 500]),
        ([0.0, 5.0, 143_000.0], [0, 10, 100, 1000, 10_000, 100_000]),
    ],
)
def test_logarithmic_ticks_are_round_and_inside(steps: list[float], ticks: list[float]) -> None:
    axis = axis_of(steps, log=True)
    assert axis["axis"]["values"] == ticks
    assert axis["scale"]["type"] == "symlog"
    assert axis["scale"]["domain"] == [min(steps), max(steps)]


def test_the_scale_is_linear_up_to_the_first_step_above_zero() -> None:
    assert axis_of([0.0, 500.0, 9000.0], log=True)["scale"]["constant"] == 500


def test_steps_are_linear_by_default_and_if_there_is_only_one() -> None:
    for axis in (axis_of([0.0, 10.0], log=False), axis_of([10.0], log=True)):
        assert "type" not in axis["scale"]


@pytest.mark.parametrize(("step", "label"), [(0.5, "0.5"), (250.0, "250"), (1500.0, "1.5k")])
def test_a_fraction_of_a_step_is_written_without_a_prefix(step: float, label: str) -> None:
    axis = step_axis((step, step, step), log=False).axis(labelExpr=STEP_LABEL, values=[step])
    chart = alt.Chart(pl.DataFrame({"step": [step]})).mark_point().encode(x=axis)
    assert f">{label}</text>" in vl_convert.vegalite_to_svg(chart.to_json())
