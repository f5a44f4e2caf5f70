"""The first screen's findings: the most important ones, with what length does to them."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import polars as pl

from gradpipe.report.prose.findings import findings
from gradpipe.report.prose.headline import (
    FEW_HEADLINES,
    HEADLINE_COLUMNS,
    MOST_HEADLINES,
    Headline,
    headlines,
)
from gradpipe.report.report_data import ReportInputs


def first_screen(inputs: ReportInputs) -> list[Headline]:
    return headlines(findings(inputs), inputs)


def test_the_studys_own_claim_is_first_and_decided_ones_come_before_the_others(
    inputs: ReportInputs,
) -> None:
    shown = first_screen(inputs)
    assert shown[0].title == "own_1"
    assert len(shown) <= MOST_HEADLINES
    undecided = [one.verdict == "undecided" for one in shown[1:]]
    assert undecided == sorted(undecided)


def test_each_line_has_the_ratio_as_measured_and_under_each_control_for_length(
    inputs: ReportInputs,
) -> None:
    overall = {r["claim"]: r for r in inputs.verdicts.filter(level="overall").to_dicts()}
    line = next(one for one in first_screen(inputs) if one.group == "thought")
    measured, matched, regression, summed = line.figures
    assert [figure.column for figure in line.figures] == list(HEADLINE_COLUMNS)
    effect = overall["none_over_simplified"]["effect"]
    assert measured.ratio == f"{effect:.2g}×"
    assert matched.ratio == f"{effect * 0.5:.2g}×"
    assert matched.note == "mostly padding"
    assert (regression.ratio, regression.note) == ("", "lengths do not overlap")
    assert summed.ratio == f"{effect * 0.02:.2g}×"
    assert (summed.outcome, summed.note) == ("reversed", "reversed")


def test_a_claim_without_two_styles_says_nothing_about_length(inputs: ReportInputs) -> None:
    lines = {one.group: one for one in first_screen(inputs)}
    assert lines["relevance"].survives_length is None


def test_claims_without_results_are_not_shown(inputs: ReportInputs) -> None:
    without = replace(inputs, verdicts=inputs.verdicts.filter(claim="own_1"))
    assert [one.group for one in first_screen(without)] == ["own_1", "sizes", "sizes"]


def test_few_claims_leave_room_for_the_sizes_of_gradients(
    make_inputs: Callable[..., ReportInputs],
) -> None:
    inputs = make_inputs(benchmarks={"mini_maths": "math"}, layers=2)
    without = replace(inputs, verdicts=inputs.verdicts.clear())
    shown = first_screen(without)
    assert len(shown) == FEW_HEADLINES
    of_pair = inputs.length.filter(style="none", against="simplified", quantity="mean")
    as_measured = of_pair.filter(control="none")["effect"]
    measured = shown[0].figures[0]
    mean = math.exp(fmean(as_measured.log()))
    assert measured.ratio == f"{mean:#.2g}×"
    assert measured.interval == f"{as_measured.min():#.2g} to {as_measured.max():#.2g}"


def test_sizes_are_of_the_cells_that_have_every_control(
    make_inputs: Callable[..., ReportInputs],
) -> None:
    inputs = make_inputs(benchmarks={"mini_maths": "math"}, layers=2)
    nowhere_else = (pl.col("control") == "matched") & (pl.col("projection") != "q")
    length = inputs.length.filter(~nowhere_else)
    without = replace(inputs, verdicts=inputs.verdicts.clear(), length=length)
    figures = first_screen(without)[0].figures
    of_pair = length.filter(style="none", against="simplified", quantity="mean", projection="q")
    for figure, control in zip(figures[:2], ("none", "matched"), strict=True):
        effect = of_pair.filter(control=control)["effect"].item()
        assert figure.ratio == f"{effect:#.2g}×"


def test_intervals_of_an_equivalence_are_marked_under_each_control(inputs: ReportInputs) -> None:
    claims = inputs.claims.with_columns(
        test=pl.when(pl.col("group") == "thought").then(pl.lit("within")).otherwise("test")
    )
    lines = first_screen(replace(inputs, claims=claims))
    (line,) = [one for one in lines if one.group == "thought"]
    intervals = [figure.interval for figure in line.figures if figure.ratio]
    assert len(intervals) == 3
    assert all(interval.startswith("90 %: ") for interval in intervals)
