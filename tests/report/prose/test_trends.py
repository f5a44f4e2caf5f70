"""Sentences about claims along training, and about the steps that a page shows."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from gradpipe.report.prose.trends import headline_note, step_notes, trend_findings, trend_of
from gradpipe.report.report_data import ReportInputs
from tests.report.made_up_series import series_inputs

FALL: dict[str, Any] = {"p_adjusted": 0.01, "change_low": 0.4, "change_high": 0.6}


@pytest.fixture(scope="module")
def runs() -> ReportInputs:
    return series_inputs(6, ("sft", "lora"), layers=2, statistics=("nuclear_norm",))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "falls"),
        ({"change_low": 1.2, "change_high": 1.6}, "rises"),
        ({"change_high": 1.1}, "no trend"),
        ({"p_adjusted": 0.06}, "no trend"),
        ({"p_adjusted": None}, "no trend"),
    ],
)
def test_a_trend_needs_an_interval_without_one_and_a_small_p(
    changes: dict[str, Any], expected: str
) -> None:
    assert trend_of(FALL | changes) == expected


def test_each_claim_and_series_has_a_finding_series_by_series(runs: ReportInputs) -> None:
    found = trend_findings(runs)
    assert len(found) == runs.trends.height
    series = [finding.series for finding in found]
    assert series == sorted(series)
    assert {finding.trend for finding in found} == {"falls"}


def test_a_step_of_emergence_is_never_without_its_interval(runs: ReportInputs) -> None:
    for finding in trend_findings(runs):
        last = finding.sentences.rpartition("The claim ")[2]
        assert "95 % interval:" in last


def test_the_sentences_on_a_claim(runs: ReportInputs, snapshot: SnapshotAssertion) -> None:
    texts = {finding.sentences for finding in trend_findings(runs) if finding.series == "sft"}
    assert sorted(texts) == snapshot


def test_a_long_series_says_which_steps_have_detail(snapshot: SnapshotAssertion) -> None:
    long = series_inputs(500, layers=1, statistics=("nuclear_norm",))
    assert step_notes(long) == snapshot


def test_a_short_series_has_detail_at_every_step() -> None:
    short = series_inputs(4, layers=1, statistics=("nuclear_norm",))
    assert step_notes(short) == ["sft: 5 checkpoints, steps 0 to 40."]


def test_verdicts_say_that_checkpoints_do_not_count(
    runs: ReportInputs, inputs: ReportInputs
) -> None:
    assert "last step" in (headline_note(runs) or "")
    assert headline_note(inputs) is None
