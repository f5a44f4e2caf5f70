"""Findings: they say what the numbers say, and no more."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from gradpipe.report.findings import (
    findings,
    irrelevant_stands_out,
    length_note,
    smoother_with_length,
    smoother_with_thought,
)
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.look import number

Make = Callable[..., ReportInputs]


def test_a_planted_order_is_found_with_its_numbers_and_example_count(make_inputs: Make) -> None:
    inputs = make_inputs(benchmarks={"mini_maths": "math"})
    finding = smoother_with_thought(inputs)
    assert finding is not None
    assert finding.answer == "yes"
    none = inputs.mad.filter(*(pl.col(column) == value for column, value in OF_NONE_Q.items()))[
        "mad"
    ].item()
    assert f"is {number(none)} without chain of thought" in finding.details[0]
    assert "(q; demo; 12 examples a style)" in finding.details[0]
    assert "none > simplified > detailed holds for q, k, v and o." in finding.details[0]


def test_an_order_that_fails_for_one_projection_is_mixed_and_says_which(
    inputs: ReportInputs,
) -> None:
    upset = (pl.col("style") == "none") & (pl.col("projection") == "v")
    mad = inputs.mad.with_columns(pl.when(upset).then(0.0).otherwise("mad").alias("mad"))
    finding = smoother_with_thought(replace(inputs, mad=mad))
    assert finding is not None
    assert finding.answer == "mixed"
    assert "holds for q, k and o, not for v." in finding.details[0]
    assert "for some projections on both model × benchmark pairs" in finding.summary


def test_the_opposite_order_is_a_no(inputs: ReportInputs) -> None:
    mad = inputs.mad.with_columns(-pl.col("mad"))
    finding = smoother_with_thought(replace(inputs, mad=mad))
    assert finding is not None
    assert finding.answer == "no"


def test_equal_numbers_are_no_order(inputs: ReportInputs) -> None:
    finding = smoother_with_thought(replace(inputs, mad=inputs.mad.with_columns(mad=pl.lit(1.0))))
    assert finding is not None
    assert finding.answer == "no"


def test_two_examples_decide_nothing(make_inputs: Make) -> None:
    found = findings(make_inputs(examples=2))
    assert {finding.answer for finding in found} == {"undecided"}
    assert all("Undecided" in sentence for finding in found for sentence in finding.details)


def test_irrelevant_detail_stands_out_where_it_was_planted(inputs: ReportInputs) -> None:
    finding = irrelevant_stands_out(inputs)
    assert finding is not None
    assert finding.answer == "yes"
    assert "irrelevant has the larger mean in 30 of 30 layers" in finding.details[0]


def test_numbers_that_are_not_finite_are_left_out_of_findings(inputs: ReportInputs) -> None:
    mad = inputs.mad.with_columns(
        pl.when(pl.col("projection") == "q").then(float("nan")).otherwise("mad").alias("mad")
    )
    finding = smoother_with_thought(replace(inputs, mad=mad))
    assert finding is not None
    assert "(k; demo;" in finding.details[0]


def test_knowledge_is_compared_by_length_only_where_there_are_two_lengths(
    inputs: ReportInputs,
) -> None:
    finding = smoother_with_length(inputs)
    assert finding is not None
    assert len(finding.details) == 1
    assert "mini_popular" in finding.details[0]


def test_a_study_without_thought_has_no_finding_on_it(make_inputs: Make) -> None:
    assert smoother_with_thought(make_inputs(benchmarks={"mini_popular": "knowledge"})) is None


def test_nothing_usable_gives_no_finding(empty_inputs: ReportInputs) -> None:
    assert findings(empty_inputs) == []
    assert length_note(empty_inputs.rows) is None


def test_the_length_of_responses_is_said_out_loud(inputs: ReportInputs) -> None:
    note = length_note(inputs.rows)
    assert note is not None
    assert "3 tokens (none), 48 tokens (simplified) and 131 tokens (detailed)" in note


OF_NONE_Q = {
    "style": "none",
    "relevance": "correct",
    "projection": "q",
    "statistic": "nuclear_norm",
    "segment": "all",
}
