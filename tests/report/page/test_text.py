"""The texts of the page besides its findings."""

from dataclasses import replace
from typing import Any

from gradpipe.report.page.text import page_text
from gradpipe.report.report_data import ReportInputs
from tests.report.made_up_series import series_inputs


def text_of(inputs: ReportInputs, **provenance: Any) -> dict[str, Any]:
    return page_text(replace(inputs, provenance=inputs.provenance | provenance))


def test_the_claims_are_counted_by_their_verdicts(inputs: ReportInputs) -> None:
    text = page_text(inputs)
    verdicts = [finding.verdict for finding in text["findings"]]
    assert text["findings_summary"].startswith(f"Of {len(verdicts)} claims, ")
    for verdict in set(verdicts):
        count = verdicts.count(verdict)
        assert f"{count} {'is' if count == 1 else 'are'} {verdict}" in text["findings_summary"]


def test_time_and_hardware_are_shown_where_they_were_recorded(inputs: ReportInputs) -> None:
    gradients = [
        {"model": "demo", "hardware": None, "examples": 3, "tokens": 70, "seconds": 61.2},
        {"model": "other", "hardware": "H100", "examples": 4, "tokens": 1900, "seconds": 3600.0},
    ]
    text = text_of(inputs, gradients=gradients, hardware="one H100")
    provenance = text["provenance"]
    assert (provenance["time"], provenance["hardware"]) == ("1:01:01", "one H100")
    (listing,) = [one for one in provenance["listings"] if one["caption"] == "Gradients"]
    assert listing["rows"] == [
        ["demo", "not recorded", "3", "70", "0:01:01"],
        ["other", "H100", "4", "1\u202f900", "1:00:00"],
    ]


def test_what_was_not_recorded_is_shown_as_missing(inputs: ReportInputs) -> None:
    provenance = page_text(replace(inputs, provenance={}))["provenance"]
    for key in ("created", "hardware", "time"):
        assert provenance[key] == "not recorded"


def test_models_and_data_are_listed_with_their_hashes(inputs: ReportInputs) -> None:
    listings = {one["caption"]: one for one in page_text(inputs)["provenance"]["listings"]}
    assert "hash of the weights" in listings["Models"]["columns"]
    assert "9b1c44e0" in listings["Models"]["rows"][0]
    assert "hash of the data" in listings["Benchmarks"]["columns"]


def test_the_findings_are_a_mean_over_the_models_that_verdicts_are_about() -> None:
    text = page_text(series_inputs(20, layers=2))
    assert text["headline_extent"].startswith("2 models, 2 benchmarks")


def test_how_verdicts_are_judged_says_whether_they_are_corrected(inputs: ReportInputs) -> None:
    study = inputs.provenance["study"]
    corrected = page_text(inputs)["how_judged"]
    assert "also corrected for all claims of the study" in corrected
    without = text_of(inputs, study=study | {"correction": "none"})["how_judged"]
    assert "also corrected for all claims" not in without
    assert "not corrected for the number of its claims" in without
