"""What the page says where nothing is found, and of length beside its main chart."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.prose.findings import findings
from gradpipe.report.prose.headline import headlines
from gradpipe.report.prose.no_findings import main_chart_note, no_findings_note
from gradpipe.report.report_data import ReportInputs
from tests.report.made_up_grid import discrimination_of

Make = Callable[..., ReportInputs]


@pytest.fixture
def small(make_inputs: Make) -> ReportInputs:
    return make_inputs(benchmarks={"mini_maths": "math"}, layers=2, examples=5)


def too_few(inputs: ReportInputs) -> ReportInputs:
    """Verdicts without ratios, and no ratios of lengths."""
    unknown = [pl.lit(None, pl.Float64).alias(name) for name in ("effect", "low", "high", "p")]
    undecided = pl.lit("undecided")
    verdicts = inputs.verdicts.with_columns(*unknown, verdict=undecided, verdict_study=undecided)
    controls = inputs.length_control.clear()
    return replace(inputs, verdicts=verdicts, length=inputs.length.clear(), length_control=controls)


def test_too_few_items_are_the_reason_beside_undecided_findings(small: ReportInputs) -> None:
    inputs = too_few(small)
    note = no_findings_note(inputs, findings(inputs))
    assert note.startswith("No claim can be judged: this takes 8 items per benchmark")
    assert "5 items at most" in note
    page = render_page(inputs)
    assert note in page
    assert "no two styles" not in page


def test_styles_that_no_claim_is_about_are_not_called_missing(small: ReportInputs) -> None:
    inputs = replace(too_few(small), claims=small.claims.clear(), verdicts=small.verdicts.clear())
    note = no_findings_note(inputs, findings(inputs))
    assert note.startswith("No claim is about the styles")
    assert render_page(inputs).count(note) == 2


def test_one_style_of_correct_responses_has_nothing_to_compare(small: ReportInputs) -> None:
    one = small.curves.filter(style="none", relevance="correct")
    inputs = replace(small, curves=one, verdicts=small.verdicts.clear())
    assert "no two styles or kinds of responses" in no_findings_note(inputs, [])


def test_the_main_chart_names_what_is_beside_it_only_if_it_is(small: ReportInputs) -> None:
    lines = headlines(findings(small), small)
    assert main_chart_note(small, lines).endswith("at equal length beside the chart.")
    assert main_chart_note(small, []) == "Responses of different styles may differ in length."
    one = replace(small, curves=small.curves.filter(style="none"))
    assert main_chart_note(one, lines) == ""


def test_a_section_has_no_note_on_a_table_that_it_does_not_have(make_inputs: Make) -> None:
    inputs = make_inputs(benchmarks={"mini_maths": "math"}, layers=2)
    page = render_page(replace(inputs, discrimination=discrimination_of(inputs.curves)))
    assert "tables/discrimination_in_full.csv" in page
    assert "tables/added_discrimination_in_full.csv" not in page
