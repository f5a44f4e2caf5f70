"""Findings: they say what the verdicts say, and no more."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.claims.contrasts import claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.schemas import CLAIM_SCHEMA, LENGTH_SCHEMA, STUDY_SOURCE, VERDICT_SCHEMA
from gradpipe.report.prose.findings import MOST_DETAILS, ClaimFinding, findings
from gradpipe.report.prose.length_note import length_note
from gradpipe.report.prose.phrases import (
    CLAIM_VERDICTS,
    counted,
    interval_said,
    ratio_said,
    tallied,
)
from gradpipe.report.report_data import COLUMNS, ReportInputs

Row = dict[str, Any]

#: The tables that findings do not read.
EMPTY = (
    *(
        pl.DataFrame(schema=list(COLUMNS[name]))
        for name in ("curves", "mad", "rd", "rows", "unusable")
    ),
    {},
)
SMOOTHER = "The MAD is larger without a chain of thought than with a detailed one."


def claim(name: str = "1", group: str = "1", **changes: Any) -> Row:
    stated = {"claim": name, "group": group, "title": "Thought smooths", "statement": SMOOTHER}
    return stated | {"source": "a paper", "test": "greater", "margin": 1.0} | changes


def cell(name: str = "1", verdict: str = "supported", **changes: Any) -> Row:
    measured: Row = {"effect": 6.4, "low": 5.1, "high": 8.0, "p": 0.001, "p_adjusted": 0.01}
    where = {"model": "demo", "benchmark": "aqua", "projection": "q", "against_model": None}
    judged = {"claim": name, "level": "cell", "verdict": verdict, "reason": None, "items": 24}
    return judged | where | measured | changes


def overall(name: str = "1", verdict: str = "supported", **changes: Any) -> Row:
    nowhere = dict.fromkeys(("model", "against_model", "benchmark", "projection"))
    return cell(name, verdict, level="overall") | nowhere | changes


def grid(verdicts: dict[tuple[str, str], str], **changes: Any) -> list[Row]:
    """A cell for each of q and k of two models on two benchmarks; ``verdicts`` by places."""
    return [
        cell(verdict=verdicts.get((model, benchmark + projection), "supported"), **where, **changes)
        for model in ("a", "b")
        for benchmark in ("aqua", "gsm8k")
        for projection in ("q", "k")
        if (where := {"model": model, "benchmark": benchmark, "projection": projection})
    ]


@pytest.fixture
def found(inputs: ReportInputs) -> Callable[..., list[ClaimFinding]]:
    """Findings of these claims and verdicts."""

    def find(claims: list[Row], verdicts: list[Row]) -> list[ClaimFinding]:
        return findings(judged(inputs, claims, verdicts))

    return find


def judged(inputs: ReportInputs, claims: list[Row], verdicts: list[Row]) -> ReportInputs:
    return replace(
        inputs,
        claims=pl.DataFrame(claims, schema=CLAIM_SCHEMA),
        verdicts=pl.DataFrame(verdicts, schema=VERDICT_SCHEMA),
    )


Find = Callable[[list[Row], list[Row]], list[ClaimFinding]]


def test_a_supported_claim_says_how_strong_how_sure_and_where(found: Find) -> None:
    (finding,) = found([claim()], [overall(), *grid({})])
    assert finding == ClaimFinding(
        group="1",
        title="Thought smooths",
        answer="supported",
        summary="Supported: The MAD is larger without a chain of thought than with a detailed "
        "one. Measured: 6.4 times as large on average over 8 cells (95 % interval 5.1 to 8.0 "
        "times; 24 items). Likewise in each of the 8 cells (2 models × 2 benchmarks × "
        "2 projections).",
        details=(),
    )


def test_a_claim_on_one_cell_speaks_of_no_average(found: Find) -> None:
    (finding,) = found([claim()], [overall(items=1), cell()])
    assert finding.summary.endswith(
        "Measured: 6.4 times as large (95 % interval 5.1 to 8.0 times; 1 item)."
    )


def test_a_contradicted_claim_says_why(found: Find) -> None:
    reason = "the interval 0.5 to 0.7 lies below 1; 8 of 8 cells contradict it"
    row = overall(verdict="contradicted", effect=0.6, low=0.5, high=0.7, reason=reason)
    (finding,) = found([claim()], [row])
    assert finding.answer == "contradicted"
    assert finding.summary.endswith(
        "Measured: 0.60 times as large (95 % interval 0.50 to 0.70 times; 24 items). "
        "The interval 0.5 to 0.7 lies below 1."
    )


def test_a_claim_that_could_not_be_measured_says_why_and_gives_no_number(found: Find) -> None:
    nothing = dict.fromkeys(("effect", "low", "high", "p", "p_adjusted"))
    reason = "no cell has the 8 items that are needed"
    (finding,) = found([claim()], [overall(verdict="undecided", reason=reason, **nothing)])
    assert finding.answer == "undecided"
    assert finding.summary.endswith("one. No cell has the 8 items that are needed.")


def test_cells_that_could_not_be_judged_are_not_averaged_over(found: Find) -> None:
    nothing = dict.fromkeys(("effect", "low", "high", "p", "p_adjusted"))
    unjudged = cell(verdict="undecided", projection="k", reason="too few", **nothing)
    (finding,) = found([claim()], [overall(), cell(), cell(projection="v"), unjudged])
    assert "on average over 2 cells" in finding.summary
    assert "Supported in 2 and undecided in 1 of the 3 cells" in finding.summary


def test_exceptions_are_named_with_their_reason(found: Find) -> None:
    rows = grid(
        {("a", "aquaq"): "undecided", ("a", "aquak"): "undecided", ("b", "gsm8kk"): "contradicted"}
    )
    rows = [row | {"reason": f"it is {row['verdict']}"} for row in rows]
    (finding,) = found([claim()], [overall(), *rows])
    assert finding.answer == "supported"
    assert "Supported in 5, contradicted in 1 and undecided in 2 of the 8 cells" in finding.summary
    assert finding.details == (
        "Contradicted for b on gsm8k (k): it is contradicted.",
        "Undecided for a on aqua: it is undecided.",
    )


def test_what_most_cells_have_as_it_is_over_all_is_no_exception(found: Find) -> None:
    rows = [cell(verdict="contradicted", model=f"m{i}") for i in range(5)]
    rows += [cell(verdict="undecided", reason="few")]
    (finding,) = found([claim()], [overall(verdict="contradicted"), *rows])
    assert "Contradicted in 5 and undecided in 1 of the 6 cells" in finding.summary
    assert finding.details == ("Undecided for demo on aqua: few.",)


def test_reasons_that_differ_give_way_to_the_ratios_there(found: Find) -> None:
    rows = [
        cell(),
        cell(verdict="undecided", projection="k", effect=0.93, reason="one"),
        cell(verdict="undecided", projection="v", effect=1.2, reason="another"),
    ]
    (finding,) = found([claim()], [overall(), *rows])
    assert finding.details == ("Undecided for demo on aqua (k and v): ratios of 0.93 to 1.2.",)


def test_many_places_are_counted_not_named(found: Find) -> None:
    rows = [cell(verdict="undecided", model=f"m{i}", reason="few") for i in range(9)]
    (finding,) = found([claim()], [overall(), cell(), *rows])
    assert finding.details == (
        "Undecided for m0 on aqua, m1 on aqua, m2 on aqua and 6 more places: few.",
    )


def test_many_parts_do_not_make_many_sentences(found: Find) -> None:
    names = [str(i) for i in range(12)]
    (finding,) = found([claim(name) for name in names], [overall(name) for name in names])
    assert finding.summary.startswith("All 12 parts are supported. The first: The MAD is larger")
    assert len(finding.details) == MOST_DETAILS
    assert finding.details[-1].startswith("6 more are left out here")


def test_models_and_what_they_are_tuned_from_are_said_as_pairs(found: Find) -> None:
    rows = [
        cell(against_model="base"),
        cell(against_model="base", verdict="undecided", benchmark="gsm8k"),
    ]
    (finding,) = found([claim()], [overall(), *rows])
    assert "(1 pair of models × 2 benchmarks × 1 projection)" in finding.summary
    assert finding.details[0].startswith("Undecided for demo against base on gsm8k")


def test_parts_that_differ_are_told_apart(found: Find) -> None:
    claims = [claim("a"), claim("b", statement="Correct and irrelevant coincide."), claim("c")]
    rows = [overall("a"), overall("b", "undecided", effect=1.04, low=0.98, high=1.12)]
    (finding,) = found(claims, rows)
    assert finding.answer == "undecided"
    assert finding.summary == (
        "Of 2 parts, 1 is supported and 1 is undecided. Undecided: Correct and irrelevant "
        "coincide. Measured: 4.0 % larger (95 % interval 2.0 % smaller to 12 % larger; 24 items)."
    )
    assert [detail.split(":")[0] for detail in finding.details] == ["Supported"]


@given(st.lists(st.sampled_from([*CLAIM_VERDICTS, None]), min_size=1, max_size=5))
def test_the_answer_of_a_group_follows_from_its_parts(verdicts: list[str | None]) -> None:
    names = [str(place) for place in range(len(verdicts))]
    rows = [overall(n, v) for n, v in zip(names, verdicts, strict=True) if v]
    empty = ReportInputs(
        *EMPTY,
        claims=pl.DataFrame([claim(n) for n in names], CLAIM_SCHEMA),
        verdicts=pl.DataFrame(rows, VERDICT_SCHEMA),
    )
    told = [v for v in verdicts if v]
    expected = []
    if told:
        expected = ["undecided"]
        if all(v == "supported" for v in told):
            expected = ["supported"]
        if any(v == "contradicted" for v in told):
            expected = ["contradicted"]
    assert [finding.answer for finding in findings(empty)] == expected


def test_what_the_study_claims_comes_first_and_each_claim_by_itself(found: Find) -> None:
    shared = {"group": "study", "title": "The study's own claims", "source": STUDY_SOURCE}
    names = ["none > detailed on effective_rank", "detailed > none on loss", "a > b on c"]
    claims = [claim(), *(claim(name, **shared) for name in names)]
    rows = [overall(), overall(names[0]), overall(names[1], "contradicted")]
    answers = {finding.title: finding.answer for finding in found(claims, rows)}
    assert list(answers) == [*names, "Thought smooths"]
    assert list(answers.values()) == ["supported", "contradicted", "undecided", "supported"]


def test_a_papers_claim_that_nothing_was_run_for_is_left_out(found: Find) -> None:
    assert found([claim()], []) == []


def test_no_claims_make_no_findings(empty_inputs: ReportInputs) -> None:
    assert findings(empty_inputs) == []


@pytest.mark.parametrize("verdict", CLAIM_VERDICTS)
def test_the_papers_claims_are_told_in_whole_sentences(inputs: ReportInputs, verdict: str) -> None:
    claims = claims_table(PAPER_CLAIMS)
    rows = [
        one
        for name in claims.get_column("claim")
        for one in (overall(name, verdict, reason="it is so; and so"), cell(name, verdict))
    ]
    told = findings(judged(inputs, claims.to_dicts(), rows))
    assert len(told) == claims.get_column("group").n_unique()
    for text in (text for one in told for text in (one.summary, *one.details)):
        assert text.endswith(".")
        assert text[0].isupper()
        assert not re.search(r"\.\.|\s\.|  |None|nan", text), text


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (6.4, "6.4 times as large"),
        (123.4, "123 times as large"),
        (0.31, "0.31 times as large"),
        (1.042, "4.2 % larger"),
        (0.88, "12 % smaller"),
        (1.0002, "as large to within 0.1 %"),
        (float("nan"), "no ratio to be had"),
        (None, "no ratio to be had"),
    ],
)
def test_a_ratio_is_said_in_times_or_where_close_to_one_in_percent(
    ratio: float | None, said: str
) -> None:
    assert ratio_said(ratio) == said


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (6.4, 5.1, 8.0, "95 % interval 5.1 to 8.0 times"),
        (3.0, 2.98, 3.04, "95 % interval 2.98 to 3.04 times"),
        (1.04, 1.02, 1.06, "95 % interval 2.0 % to 6.0 % larger"),
        (0.9, 0.85, 0.97, "95 % interval 3.0 % to 15 % smaller"),
        (1.04, 0.97, 1.12, "95 % interval 3.0 % smaller to 12 % larger"),
        (1.2, 0.3, 4.8, "95 % interval 0.30 to 4.8 times"),
        (3.0, 0.0, 9.0, "95 % interval up to 9.0 times"),
        (3.0, 2.0, float("inf"), "95 % interval 2.0 times or more"),
        (3.0, None, float("nan"), "no 95 % interval"),
    ],
)
def test_an_interval_is_said_in_the_terms_of_its_ratio(
    ratio: float, low: float | None, high: float | None, said: str
) -> None:
    assert interval_said(ratio, low, high) == said


def test_counts_are_singular_or_plural() -> None:
    assert [counted(n, "item") for n in (0, 1, 2)] == ["0 items", "1 item", "2 items"]
    assert tallied([], "claim") == ""
    assert tallied(["supported"], "claim") == "The one claim is supported."
    assert tallied(["undecided"] * 2, "claim") == "Both claims are undecided."
    assert tallied(["supported", "undecided", "supported"], "claim") == (
        "Of 3 claims, 2 are supported and 1 is undecided."
    )


def held(control: str, effects: list[float], **changes: Any) -> list[Row]:
    """None against detailed, an effect a projection."""
    where = {"model": "demo", "benchmark": "aqua", "family": "math", "how": "so"}
    compared = {"style": "none", "against": "detailed", "quantity": "mean", "control": control}
    return [
        where
        | compared
        | {"projection": p, "effect": e, "low": e, "high": e, "items": 24}
        | changes
        for p, e in zip("qkvo", effects, strict=False)
    ]


def noted(inputs: ReportInputs, rows: list[Row]) -> str:
    note = length_note(replace(inputs, length=pl.DataFrame(rows, schema=LENGTH_SCHEMA)))
    assert note is not None
    return note


def test_the_length_of_responses_is_said_out_loud(inputs: ReportInputs) -> None:
    note = noted(inputs, [])
    assert "3 tokens (none), 48 tokens (simplified) and 131 tokens (detailed)" in note
    assert note.endswith("may be one of length.")


def test_what_is_left_with_length_held_still_stands_beside_what_was_measured(
    inputs: ReportInputs,
) -> None:
    rows = [
        *held("none", [2.0, 8.0]),
        *held("matched", [1.0, 4.0]),
        *held("regression", [1.0, 1.21]),
    ]
    rows += held("none", [99.0, 99.0], quantity="mad") + held("none", [99.0], against="simplified")
    assert noted(inputs, rows).endswith(
        "As measured, gradients without chain of thought are 4.0 times as large as with a detailed "
        "one (geometric mean over 2 cells); between responses of matched length they are 2.0 times "
        "as large; with length held still by regression they are 1.1 times as large. Where the "
        "lengths of two styles do not overlap, a regression extrapolates."
    )


def test_a_control_that_some_cells_lack_is_compared_where_it_is_there(inputs: ReportInputs) -> None:
    rows = [*held("none", [2.0, 8.0]), *held("matched", [1.5, float("nan")])]
    assert noted(inputs, rows).endswith(
        "they are 1.5 times as large (in the 1 cell that has such; 2.0 as measured there)."
    )


def test_one_style_needs_no_word_on_length(inputs: ReportInputs) -> None:
    assert length_note(replace(inputs, rows=inputs.rows.filter(pl.col("style") == "none"))) is None


def test_nothing_usable_needs_no_word_on_length(empty_inputs: ReportInputs) -> None:
    assert length_note(empty_inputs) is None
