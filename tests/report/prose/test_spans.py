"""Findings on spans follow from their contrasts: verdicts, ratios, and what is left out."""

from dataclasses import replace

import polars as pl
import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.prose.spans import span_findings
from gradpipe.report.report_data import ReportInputs
from gradpipe.statistics.spans.contrasts import SPAN_CONTRAST_SCHEMA
from gradpipe.statistics.spans.curves import SPAN_SCHEMA
from gradpipe.statistics.spans.steps import STEP_TREND_SCHEMA

Sides = tuple[str, str, str, str, str, str]
CHAIN: Sides = ("none", "correct", "final_answer", "detailed", "correct", "final_answer")
TWIN: Sides = ("none", "correct", "first_k", "detailed", "correct", "first_k")
REST: Sides = ("detailed", "correct", "final_answer", "detailed", "correct", "rest")
WRONG: Sides = ("detailed", "wrong", "final_answer", "detailed", "correct", "final_answer")


def contrast(
    sides: Sides,
    ratio: float,
    *,
    width: float = 1.2,
    items: int = 20,
    chain: str = "all",
    benchmark: str = "gsm8k",
    statistic: str = "nuclear_norm",
) -> tuple[object, ...]:
    projection = None if statistic == "loss" else "all"
    ends = (ratio, ratio / width, ratio * width)
    return ("m", benchmark, *sides, chain, projection, statistic, *ends, items, 2.0, 40.0)


def with_contrasts(inputs: ReportInputs, *rows: tuple[object, ...]) -> ReportInputs:
    table = pl.DataFrame(rows, schema=SPAN_CONTRAST_SCHEMA, orient="row")
    return replace(inputs, span_contrasts=table)


@pytest.mark.parametrize(
    ("ratio", "items", "verdict"),
    [
        (3.0, 20, "supported"),
        (0.3, 20, "contradicted"),
        (1.1, 20, "undecided"),
        (3.0, 7, "undecided"),
    ],
)
@pytest.mark.parametrize("sides", [CHAIN, REST, WRONG])
def test_the_verdict_is_that_of_the_interval(
    sides: Sides, ratio: float, items: int, verdict: str, empty_inputs: ReportInputs
) -> None:
    [finding] = span_findings(with_contrasts(empty_inputs, contrast(sides, ratio, items=items)))
    assert finding.verdict == verdict


def test_cells_that_disagree_are_undecided(empty_inputs: ReportInputs) -> None:
    rows = [contrast(CHAIN, 3.0), contrast(CHAIN, 0.3, benchmark="aqua")]
    [finding] = span_findings(with_contrasts(empty_inputs, *rows))
    assert finding.verdict == "undecided"
    assert "2 cells" in finding.summary


def test_length_twins_losses_and_chains_stand_beside_the_ratio(empty_inputs: ReportInputs) -> None:
    rows = [
        contrast(CHAIN, 3.0),
        contrast(CHAIN, 2.5, statistic="loss"),
        contrast(CHAIN, 5.0, chain="shortest third"),
        contrast(CHAIN, 7.0, chain="longest third"),
        contrast(TWIN, 11.0),
    ]
    [finding] = span_findings(with_contrasts(empty_inputs, *rows))
    assert "3.0 times as large" in finding.summary
    assert "2.5 times as large" in finding.summary
    lengths, twin = finding.details
    assert "5.0 times" in lengths
    assert "7.0 times" in lengths
    assert "11 times" in twin


def test_responses_without_a_final_answer_are_counted(empty_inputs: ReportInputs) -> None:
    spans = pl.DataFrame(
        [
            ("m", "gsm8k", name, "correct", "final_answer", p, "nuclear_norm", n, 20, *[1.0] * 6)
            for name, n in (("none", 20), ("detailed", 17))
            for p in ("q", "v")
        ],
        schema=SPAN_SCHEMA,
        orient="row",
    )
    inputs = replace(with_contrasts(empty_inputs, contrast(CHAIN, 3.0)), spans=spans)
    [finding] = span_findings(inputs)
    assert finding.details[-1].startswith("37 of 40 responses")


def test_an_answer_is_judged_at_the_same_number_of_tokens(empty_inputs: ReportInputs) -> None:
    same: Sides = (*REST[:5], "first_k")
    rows = [contrast(REST, 5.0), contrast(same, 0.5)]
    [finding] = span_findings(with_contrasts(empty_inputs, *rows))
    assert finding.verdict == "contradicted"
    assert "5.0 times" in finding.details[0]


def test_a_trend_along_steps_is_judged_at_equal_length(empty_inputs: ReportInputs) -> None:
    trends = pl.DataFrame(
        [
            ("m", "gsm8k", "detailed", "correct", "all", "nuclear_norm", control, *ends, 20, 4.0)
            + (1.0,) * 5
            for control, ends in (("none", (1.5, 1.2, 1.9)), ("length", (0.5, 0.4, 0.6)))
        ],
        schema=STEP_TREND_SCHEMA,
        orient="row",
    )
    [finding] = span_findings(replace(empty_inputs, step_trends=trends))
    assert finding.verdict == "supported"
    assert "50 % larger" in finding.details[0] or "1.5 times" in finding.details[0]


def test_no_spans_make_no_findings(empty_inputs: ReportInputs) -> None:
    assert span_findings(empty_inputs) == []


def test_the_page_lists_the_findings_on_spans(inputs: ReportInputs) -> None:
    page = render_page(with_contrasts(inputs, contrast(CHAIN, 3.0)))
    assert "after a chain of thought" in page
