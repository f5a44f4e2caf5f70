"""What the page says in words besides its findings."""

from dataclasses import replace
from typing import Any

from gradpipe.report.page.text import page_words
from gradpipe.report.report_data import ReportInputs


def words_of(inputs: ReportInputs, **provenance: Any) -> dict[str, Any]:
    return page_words(replace(inputs, provenance=inputs.provenance | provenance))


def test_the_claims_are_counted_by_their_answers(inputs: ReportInputs) -> None:
    words = page_words(inputs)
    answers = [finding.answer for finding in words["findings"]]
    said = words["findings_counted"]
    assert said.startswith(f"Of {len(answers)} claims, ")
    for answer in set(answers):
        assert f"{answers.count(answer)} {'is' if answers.count(answer) == 1 else 'are'}" in said


def test_time_and_hardware_are_shown_where_they_were_recorded(inputs: ReportInputs) -> None:
    gradients = [
        {"model": "demo", "hardware": None, "examples": 3, "tokens": 70, "seconds": 61.2},
        {"model": "other", "hardware": "H100", "examples": 4, "tokens": 1900, "seconds": 3600.0},
    ]
    told = words_of(inputs, gradients=gradients, hardware="one H100")
    provenance = told["provenance"]
    assert (provenance["time"], provenance["hardware"]) == ("1:01:01", "one H100")
    (computed,) = [one for one in provenance["listings"] if one["caption"] == "Gradients"]
    assert computed["rows"] == [
        ["demo", "not recorded", "3", "70", "0:01:01"],
        ["other", "H100", "4", "1\u202f900", "1:00:00"],
    ]


def test_what_was_not_recorded_is_shown_as_missing(inputs: ReportInputs) -> None:
    provenance = page_words(replace(inputs, provenance={}))["provenance"]
    for key in ("created", "hardware", "time"):
        assert provenance[key] == "not recorded"


def test_models_and_data_are_listed_with_their_hashes(inputs: ReportInputs) -> None:
    listings = {one["caption"]: one for one in page_words(inputs)["provenance"]["listings"]}
    assert "hash of the weights" in listings["Models"]["columns"]
    assert "9b1c44e0" in listings["Models"]["rows"][0]
    assert "hash of the data" in listings["Benchmarks"]["columns"]
