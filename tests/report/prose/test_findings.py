"""Findings: verdicts, effects and exceptions are those of the results."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from gradpipe.claims.contrasts import claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.schemas import (
    CLAIM_SCHEMA,
    COMPARISON_SOURCE,
    LENGTH_CONTROL_SCHEMA,
    RANDOM_EFFECTS_SCHEMA,
    STUDY_SOURCE,
    VERDICT_SCHEMA,
)
from gradpipe.report.prose.findings import MOST_DETAILS, MOST_PLACES, ClaimFinding, findings
from gradpipe.report.prose.phrases import CLAIM_VERDICTS, interval_text, ratio_text
from gradpipe.report.report_data import COLUMNS, ReportInputs

Row = dict[str, Any]
Find = Callable[[list[Row], list[Row]], list[ClaimFinding]]

#: The tables that findings do not read.
EMPTY = (
    *(
        pl.DataFrame(schema=list(COLUMNS[name]))
        for name in ("curves", "mad", "rd", "rows", "unusable")
    ),
    {},
)
STATEMENT = "The MAD is larger without a chain of thought than with a detailed one."
NOT_MEASURED = dict.fromkeys(("effect", "low", "high", "p", "p_adjusted"))


def claim(name: str = "1", group: str = "1", **changes: Any) -> Row:
    stated = {"claim": name, "group": group, "title": "Thought smooths", "statement": STATEMENT}
    return stated | {"source": "a paper", "test": "greater", "margin": 1.0} | changes


def cell(name: str = "1", verdict: str = "supported", **changes: Any) -> Row:
    measured: Row = {"effect": 6.4, "low": 5.1, "high": 8.0, "p": 0.001, "p_adjusted": 0.01}
    place = {"model": "demo", "benchmark": "aqua", "projection": "q", "against_model": None}
    explained: Row = {"reason": None, "agreement": None, "items": 24, "pairing": "item"}
    explained["survives_length"] = None
    return (
        {"claim": name, "level": "cell", "verdict": verdict}
        | explained
        | place
        | measured
        | changes
    )


def overall(name: str = "1", verdict: str = "supported", **changes: Any) -> Row:
    no_place = dict.fromkeys(("model", "against_model", "benchmark", "projection"))
    return cell(name, verdict, level="overall") | no_place | changes


def grid(verdicts: dict[tuple[str, str, str], str]) -> list[Row]:
    """A cell for each of q and k of two models on two benchmarks; supported unless in ``verdicts``.

    A cell's reason names its verdict.
    """
    places = [(m, b, p) for m in ("a", "b") for b in ("aqua", "gsm8k") for p in ("q", "k")]
    return [
        cell(
            verdict=(verdict := verdicts.get(place, "supported")),
            reason=f"it is {verdict}",
            **dict(zip(("model", "benchmark", "projection"), place, strict=True)),
        )
        for place in places
    ]


def with_verdicts(inputs: ReportInputs, claims: list[Row], verdicts: list[Row]) -> ReportInputs:
    return replace(
        inputs,
        claims=pl.DataFrame(claims, schema=CLAIM_SCHEMA),
        verdicts=pl.DataFrame(verdicts, schema=VERDICT_SCHEMA),
    )


@pytest.fixture
def find(inputs: ReportInputs) -> Find:
    """The findings of claims and verdicts."""
    return lambda claims, verdicts: findings(with_verdicts(inputs, claims, verdicts))


def test_the_sentences_of_a_study(find: Find, snapshot: SnapshotAssertion) -> None:
    exceptions = {
        ("a", "aqua", "q"): "undecided",
        ("a", "aqua", "k"): "undecided",
        ("b", "gsm8k", "k"): "contradicted",
    }
    twins = {"against_model": "base", "claim": "tuned"}
    claims = [
        claim(),
        claim("parts a", "2", title="Two parts"),
        claim("parts b", "2", statement="Correct and irrelevant coincide."),
        claim("single", "3", title="One cell"),
        claim("contradicted", "4", title="Contradicted"),
        claim("unmeasured", "5", title="Not measured"),
        claim("tuned", "6", title="Pairs of models"),
        claim("none > detailed on loss", "study", source=STUDY_SOURCE),
    ]
    verdicts = [
        overall(),
        *grid(exceptions),
        overall("parts a"),
        overall("parts b", "undecided", effect=1.04, low=0.98, high=1.12, reason="it is unclear"),
        overall("single", items=1),
        cell("single", items=1),
        overall(
            "contradicted",
            "contradicted",
            effect=0.6,
            low=0.5,
            high=0.7,
            reason="the interval 0.5 to 0.7 lies below 1",
            agreement="8 of 8 cells contradict it",
        ),
        overall("unmeasured", "undecided", reason="no cell has the required items", **NOT_MEASURED),
        overall("tuned"),
        cell(**twins),
        cell(verdict="undecided", benchmark="gsm8k", effect=0.93, reason="few", **twins),
        cell(verdict="undecided", benchmark="gsm8k", effect=1.2, reason="noise", **twins),
    ]
    assert [asdict(finding) for finding in find(claims, verdicts)] == snapshot


def test_a_finding_on_styles_has_the_most_serious_word_of_its_parts(inputs: ReportInputs) -> None:
    words = {"1a": "yes", "1b": "no", "2": None}
    claims = [claim("1a"), claim("1b"), claim("2", "2")]
    verdicts = [overall(name, survives_length=word) for name, word in words.items()]
    controls = pl.DataFrame(
        [
            {"claim": name, "control": "measured", "effect": 6.4, "low": 5.1, "high": 8.0}
            | {"items": 24, "cells": 8, "outcome": "agrees"}
            for name in words
        ],
        schema=LENGTH_CONTROL_SCHEMA,
    )
    found = findings(replace(with_verdicts(inputs, claims, verdicts), length_control=controls))
    assert [finding.survives_length for finding in found] == ["no", None]
    assert "Survives length control: yes." in found[0].summary
    assert "Survives length control: no." in found[0].details[0]
    assert "Length:" not in found[1].summary


def test_a_claim_on_mad_says_what_it_is_apart_from_the_curves_size(find: Find) -> None:
    claims = [claim(quantity="mad", scale_free="2"), claim("2", "2", quantity="relative_mad")]
    changes = {"effect": 1.19, "low": 0.98, "high": 1.31}
    found = find(claims, [overall(), cell(), overall("2", "undecided", **changes), cell("2")])
    assert [finding.verdict for finding in found] == ["supported", "undecided"]
    apart = f"{ratio_text(1.19)} ({interval_text(1.19, 0.98, 1.31)}), undecided."
    assert found[0].summary.endswith(f"Relative to the curve's mean (MAD / mean): {apart}")
    assert "Relative to" not in found[1].summary
    unjudged = find(claims, [overall(), cell(), overall("2", "undecided", **NOT_MEASURED)])
    assert unjudged[0].summary.endswith("(MAD / mean): undecided.")
    (alone,) = find([claims[0]], [overall(), cell()])
    assert "Relative to" not in alone.summary


def test_a_claim_on_each_layer_has_no_average(find: Find) -> None:
    changes = {"effect": 1.04, "low": 0.95, "high": 1.07}
    verdicts = [overall(**changes), cell(**changes), cell(projection="k", **changes)]
    (finding,) = find([claim(quantity="layers")], verdicts)
    bounds = interval_text(1.04, 0.95, 1.07, "95 % bounds of all layers")
    assert f"at the layer of 2 cells that differs most ({bounds}; 24 items)" in finding.summary
    assert "average" not in finding.summary
    assert "95 % interval" not in finding.summary


def test_the_verdict_is_the_one_after_the_correction_for_all_claims(find: Find) -> None:
    corrected = {"verdict_study": "undecided", "p": 0.03, "p_study": 0.21}
    (finding,) = find([claim()], [overall(**corrected), cell()])
    assert finding.verdict == "undecided"
    for fact in ("Supported by itself (p = 0.03)", "all claims", "(p = 0.21)"):
        assert fact in finding.summary
    same = overall(verdict_study="supported", p_study=0.01)
    (unchanged,) = find([claim()], [same, cell()])
    assert unchanged.verdict == "supported"
    assert "by itself" not in unchanged.summary


def test_correlated_cells_are_not_counted_as_so_many_votes(find: Find) -> None:
    (finding,) = find([claim()], [overall(independent_cells=1.34), *grid({})])
    assert "worth 1.3 independent ones" in finding.summary
    (apart,) = find([claim()], [overall(independent_cells=7.9), *grid({})])
    assert "independent" not in apart.summary


def test_an_equivalence_has_a_90_percent_interval(find: Find) -> None:
    (finding,) = find([claim(test="not_greater")], [overall(), cell()])
    assert interval_text(6.4, 5.1, 8.0, "90 % interval") in finding.summary


def test_random_effects_are_said_of_benchmarks_and_of_models(inputs: ReportInputs) -> None:
    columns = {"claim": "1", "effect": 2.5, "low": 1.5, "high": 4.1, "tau": 0.4}
    rows = [
        columns | {"over": "benchmark", "k": 6, "i2": 0.82},
        columns | {"over": "model", "k": 5, "i2": 0.0},
        columns | {"claim": "other", "over": "model", "k": 77, "i2": 0.5},
    ]
    spread = pl.DataFrame(rows, schema=RANDOM_EFFECTS_SCHEMA)
    judged = with_verdicts(inputs, [claim()], [overall(), cell()])
    (finding,) = findings(replace(judged, random_effects=spread))
    for fact in (ratio_text(2.5), "6 benchmarks, I² = 82%", "5 models, I² = 0%"):
        assert fact in finding.summary
    assert "77" not in finding.summary


def test_a_supported_claim_has_its_effect_interval_items_and_cells(find: Find) -> None:
    (finding,) = find([claim()], [overall(), *grid({})])
    assert (finding.group, finding.title, finding.verdict) == ("1", "Thought smooths", "supported")
    for fact in (STATEMENT, ratio_text(6.4), interval_text(6.4, 5.1, 8.0), "24 items", "8 cells"):
        assert fact in finding.summary
    assert "2 models × 2 benchmarks × 2 projections" in finding.summary
    assert finding.details == ()


def test_a_claim_on_one_cell_has_no_average(find: Find) -> None:
    (finding,) = find([claim()], [overall(items=1), cell()])
    assert "average" not in finding.summary
    assert "1 item)" in finding.summary


def test_a_contradicted_claim_has_its_reason_without_the_count_of_cells(find: Find) -> None:
    explained = {"reason": "the interval; as measured; lies below 1", "agreement": "8 of 8 cells"}
    (finding,) = find([claim()], [overall(verdict="contradicted", effect=0.6, **explained)])
    assert finding.verdict == "contradicted"
    assert ratio_text(0.6) in finding.summary
    assert finding.summary.endswith(" The interval; as measured; lies below 1.")


def test_an_undecided_claim_says_how_many_items_would_decide_it(find: Find) -> None:
    measured = {"effect": 1.2, "low": 0.9, "high": 1.6, "p": 0.2, "p_adjusted": 0.2}
    few = [overall(verdict="undecided", **NOT_MEASURED), cell(verdict="undecided", items=3)]
    wide = [overall(verdict="undecided", **measured), cell(verdict="undecided", items=24)]
    (first,), (second,) = find([claim()], few), find([claim()], wide)
    assert "5 more items" in first.summary
    items = re.search(r"about (\d+) items", second.summary)
    assert items is not None
    assert 24 < int(items[1]) < 200


def test_a_claim_that_could_not_be_measured_has_a_reason_and_no_number(find: Find) -> None:
    row = overall(verdict="undecided", reason="no cell has enough items", **NOT_MEASURED)
    (finding,) = find([claim()], [row])
    assert finding.verdict == "undecided"
    assert finding.summary.endswith(f"{STATEMENT} No cell has enough items.")


def test_cells_without_a_p_value_are_not_in_the_average(find: Find) -> None:
    unmeasured = cell(verdict="undecided", projection="k", reason="too few", **NOT_MEASURED)
    (finding,) = find([claim()], [overall(), cell(), cell(projection="v"), unmeasured])
    assert "average over 2 cells" in finding.summary
    assert "upported in 2 and undecided in 1 of the 3 cells" in finding.summary


def test_exceptions_are_named_with_their_reason(find: Find) -> None:
    exceptions = {
        ("a", "aqua", "q"): "undecided",
        ("a", "aqua", "k"): "undecided",
        ("b", "gsm8k", "k"): "contradicted",
    }
    (finding,) = find([claim()], [overall(), *grid(exceptions)])
    assert finding.verdict == "supported"
    assert "upported in 5, contradicted in 1 and undecided in 2 of the 8 cells" in finding.summary
    contradicted, undecided = finding.details
    for fact in ("Contradicted", "b on gsm8k (k)", "it is contradicted"):
        assert fact in contradicted
    for fact in ("Undecided", "a on aqua:", "it is undecided"):
        assert fact in undecided


def test_a_majority_that_agrees_with_the_overall_verdict_is_no_exception(find: Find) -> None:
    rows = [cell(verdict="contradicted", model=f"m{i}") for i in range(5)]
    rows += [cell(verdict="undecided", reason="few")]
    (finding,) = find([claim()], [overall(verdict="contradicted"), *rows])
    assert "ontradicted in 5 and undecided in 1 of the 6 cells" in finding.summary
    assert [detail.split()[0] for detail in finding.details] == ["Undecided"]


def test_cells_with_different_reasons_have_the_range_of_their_ratios(find: Find) -> None:
    rows = [
        cell(),
        cell(verdict="undecided", projection="k", effect=0.93, reason="one"),
        cell(verdict="undecided", projection="v", effect=1.2, reason="another"),
    ]
    (finding,) = find([claim()], [overall(), *rows])
    (detail,) = finding.details
    assert "demo on aqua (k and v)" in detail
    assert "0.93 to 1.2" in detail
    assert "one" not in detail


def test_many_places_are_counted_not_named(find: Find) -> None:
    rows = [cell(verdict="undecided", model=f"m{i}", reason="few") for i in range(9)]
    (finding,) = find([claim()], [overall(), cell(), *rows])
    (detail,) = finding.details
    assert detail.count(" on aqua") == MOST_PLACES
    assert f"{9 - MOST_PLACES} more places" in detail


def test_many_parts_are_cut_to_the_limit_of_details(find: Find) -> None:
    names = [str(i) for i in range(12)]
    (finding,) = find([claim(name) for name in names], [overall(name) for name in names])
    assert finding.summary.startswith("All 12 parts are supported.")
    assert len(finding.details) == MOST_DETAILS
    assert finding.details[-1].startswith(f"{12 - MOST_DETAILS} more")


def test_models_and_their_bases_are_named_as_pairs(find: Find) -> None:
    rows = [
        cell(against_model="base"),
        cell(against_model="base", verdict="undecided", benchmark="gsm8k"),
    ]
    (finding,) = find([claim()], [overall(), *rows])
    assert "1 pair of models × 2 benchmarks × 1 projection" in finding.summary
    assert "demo against base on gsm8k" in finding.details[0]


def test_a_finding_is_about_the_part_that_decides_it_and_skips_parts_without_verdicts(
    find: Find,
) -> None:
    claims = [claim("a"), claim("b", statement="Correct and irrelevant coincide."), claim("c")]
    rows = [overall("a"), overall("b", "undecided", effect=1.04, low=0.98, high=1.12)]
    (finding,) = find(claims, rows)
    assert finding.verdict == "undecided"
    assert finding.summary.startswith("Of 2 parts, 1 is supported and 1 is undecided.")
    assert "Correct and irrelevant coincide" in finding.summary
    assert interval_text(1.04, 0.98, 1.12) in finding.summary
    assert [detail.split(":")[0] for detail in finding.details] == ["Supported"]


@given(st.lists(st.sampled_from([*CLAIM_VERDICTS, None]), min_size=1, max_size=5))
def test_the_verdict_on_a_group_follows_from_its_parts(verdicts: list[str | None]) -> None:
    names = [str(number) for number in range(len(verdicts))]
    rows = [overall(n, v) for n, v in zip(names, verdicts, strict=True) if v]
    inputs = ReportInputs(
        *EMPTY,
        claims=pl.DataFrame([claim(n) for n in names], CLAIM_SCHEMA),
        verdicts=pl.DataFrame(rows, VERDICT_SCHEMA),
    )
    present = [v for v in verdicts if v]
    expected = []
    if present:
        expected = ["undecided"]
        if all(v == "supported" for v in present):
            expected = ["supported"]
        if any(v == "contradicted" for v in present):
            expected = ["contradicted"]
    assert [finding.verdict for finding in findings(inputs)] == expected


def test_the_studys_own_claims_come_first_as_separate_findings(find: Find) -> None:
    shared = {"group": "study", "title": "The study's own claims", "source": STUDY_SOURCE}
    names = ["none > detailed on effective_rank", "detailed > none on loss", "a > b on c"]
    claims = [claim(), *(claim(name, **shared) for name in names)]
    rows = [overall(), overall(names[0]), overall(names[1], "contradicted")]
    verdicts = {finding.title: finding.verdict for finding in find(claims, rows)}
    assert list(verdicts) == [*names, "Thought smooths"]
    assert list(verdicts.values()) == ["supported", "contradicted", "undecided", "supported"]


def test_a_papers_claim_without_results_is_skipped(find: Find) -> None:
    assert find([claim()], []) == []


def test_no_claims_make_no_findings(empty_inputs: ReportInputs) -> None:
    assert findings(empty_inputs) == []


@pytest.mark.parametrize("verdict", CLAIM_VERDICTS)
def test_findings_on_the_papers_claims_are_whole_sentences(
    inputs: ReportInputs, verdict: str
) -> None:
    claims = claims_table(PAPER_CLAIMS)
    rows = [
        row
        for name in claims.get_column("claim")
        for row in (overall(name, verdict, reason="it is so"), cell(name, verdict))
    ]
    results = findings(with_verdicts(inputs, claims.to_dicts(), rows))
    assert len(results) == claims.get_column("group").n_unique()
    for text in (text for finding in results for text in (finding.summary, *finding.details)):
        assert text.endswith(".")
        assert text[0].isupper()
        assert not re.search(r"\.\.|\s\.|  |None|nan", text), text


def test_a_verdict_beside_a_findings_own_is_corrected_and_has_its_interval_and_word(
    inputs: ReportInputs,
) -> None:
    claims = [
        claim(source=COMPARISON_SOURCE),
        claim("2", "2", test="not_greater", quantity="mean", margin=1.1),
    ]
    verified = [
        overall(verdict_study="supported"),
        overall("2", effect=0.9, low=0.85, high=0.97, verdict_study="undecided"),
    ]
    judged = with_verdicts(inputs, claims, [overall(), overall("2")])
    rows = pl.DataFrame(verified, schema=VERDICT_SCHEMA)
    compared, within = findings(replace(judged, verified=rows))
    own = f"{ratio_text(6.4)} (95 % interval 5.1 to 8.0 times), larger."
    assert compared.summary.endswith(f"On verified responses alone: {own}")
    assert within.summary.endswith("(90 % interval 3.0 % to 15 % smaller), undecided.")
