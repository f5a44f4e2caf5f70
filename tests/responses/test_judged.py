"""The judgments of responses agree with those of a reader."""

from pathlib import Path

import polars as pl
import pytest

from tests.responses.agreement import agreement, failures, markdown
from tests.responses.judged_cases import (
    CASE_SCHEMA,
    LABELS,
    judged_release,
    judged_written,
    release_cases,
    release_labels,
    written_cases,
)
from tests.responses.other_judges import (
    gold_form,
    harness_accepts,
    has_harness,
    math_verify_accepts,
)

#: Least agreement over all responses, and over those of one kind with at least LEAST_CASES.
OVERALL, PER_KIND, LEAST_CASES = 0.99, 0.97, 12
#: Least cases of each of the release's sets, and the written cases of a later round per kind.
LEAST_OF_A_SET, OF_A_KIND = 24, {3: 12, 4: 12, 5: 6}
LATER_ROUNDS = (2, 3, 4, 5)
#: The kinds of which round 3 has written cases; rounds 4 and 5 have some of every kind.
THIRD_KINDS = {
    "fraction",
    "unit",
    "thousands",
    "scientific",
    "set",
    "option_reason",
    "several_letters",
    "invented_question",
    "yes_no_hedge",
}
BENCHMARKS = {
    "aqua",
    "creak",
    "ecqa",
    "gsm8k",
    "sensemaking",
    "strategyqa",
    "math_algebra",
    "math_counting_probability",
    "math_geometry",
}


@pytest.fixture(scope="module")
def release(shared: Path) -> pl.DataFrame:
    return judged_release(shared / "layer-gradient")


@pytest.fixture(scope="module")
def written() -> pl.DataFrame:
    return judged_written()


def share(judged: pl.DataFrame) -> float:
    return 1 - failures(judged).height / judged.height


def assert_agrees(judged: pl.DataFrame, kind: str) -> None:
    of_kind = judged.filter(pl.col("kind") == kind)
    assert of_kind.height >= LEAST_CASES
    assert share(of_kind) >= PER_KIND, failures(of_kind)["id"].to_list()


@pytest.mark.parametrize("kind", sorted(written_cases()["kind"].unique()))
def test_a_kind_of_written_response_is_judged_as_a_reader_judges_it(
    kind: str, written: pl.DataFrame
) -> None:
    assert_agrees(written, kind)


@pytest.mark.parametrize("kind", sorted(BENCHMARKS))
def test_a_set_of_the_release_is_judged_as_a_reader_judges_it(
    kind: str, release: pl.DataFrame
) -> None:
    assert_agrees(release, kind)


@pytest.mark.parametrize("up_to", [1, *LATER_ROUNDS])
def test_the_rounds_are_judged_as_a_reader_judges_them(
    up_to: int, written: pl.DataFrame, release: pl.DataFrame
) -> None:
    assert share(pl.concat([written, release]).filter(pl.col("round") <= up_to)) >= OVERALL


def test_no_wrong_answer_is_accepted(written: pl.DataFrame, release: pl.DataFrame) -> None:
    wrong = pl.concat([written, release]).filter(pl.col("label") != "right")
    assert failures(wrong)["id"].to_list() == []


def test_the_benchmark_has_written_responses_of_each_kind_and_the_releases_nine_sets() -> None:
    written, labels = written_cases(), release_labels()
    assert written.height == 941
    assert labels.height == 421
    assert set(labels["kind"]) == BENCHMARKS
    assert written["kind"].value_counts()["count"].min() >= LEAST_CASES  # type: ignore[operator]
    assert labels["kind"].value_counts()["count"].min() >= LEAST_OF_A_SET  # type: ignore[operator]
    for cases in (written, labels):
        assert set(cases["label"]) == set(LABELS)
        assert cases["id"].is_unique().all()


def test_a_later_round_of_written_responses_has_so_many_of_a_kind_and_its_own_questions() -> None:
    cases = written_cases()
    every = set(cases["kind"])
    kinds = {3: THIRD_KINDS, 4: every, 5: every}
    assert set(cases["round"]) == {1, *kinds}
    for later, expected in kinds.items():
        own = cases.filter(pl.col("round") == later)
        counts = dict(own["kind"].value_counts().iter_rows())
        assert counts == dict.fromkeys(expected, OF_A_KIND[later])
        earlier = cases.filter(pl.col("round") < later)
        assert set(earlier["question"]).isdisjoint(own["question"])


def test_a_later_round_of_the_release_has_items_of_its_own() -> None:
    labels = release_labels()
    for later in LATER_ROUNDS:
        earlier = labels.filter(pl.col("round") < later)
        cases = labels.filter(pl.col("round") == later)
        assert cases.height > 0
        for column in ("item", "response_of"):
            used = earlier.select("kind", pl.col(column).alias("item"))
            assert cases.join(used, on=["kind", "item"], how="semi").height == 0


def test_later_rounds_have_these_responses_of_each_set() -> None:
    counts = release_labels().group_by("round", "kind").len()
    of = {
        later: dict(counts.filter(pl.col("round") == later).select("kind", "len").iter_rows())
        for later in (3, 4, 5)
    }
    assert of[3] == {"ecqa": 12, "strategyqa": 12}
    # Two of sensemaking and two of strategyqa that readers could judge differently are left out.
    assert of[4] == dict.fromkeys(BENCHMARKS, 12) | {"sensemaking": 10, "strategyqa": 22}
    # Two of strategyqa and one of creak are left out.
    assert of[5] == dict.fromkeys(BENCHMARKS, 6) | {"creak": 5, "strategyqa": 10}


def test_a_reader_reads_an_answer_unless_there_is_none() -> None:
    columns = ["id", "label", "read"]
    cases = pl.concat([written_cases().select(columns), release_labels().select(columns)])
    assert cases.filter((pl.col("label") == "none") != pl.col("read").is_null()).height == 0


def test_no_text_is_judged_twice_against_one_gold_answer() -> None:
    assert written_cases().select("question", "gold", "text").is_unique().all()


def test_each_label_of_the_release_refers_to_a_text(shared: Path) -> None:
    cases = release_cases(shared / "layer-gradient")
    assert cases.columns == CASE_SCHEMA.names()
    assert cases.height == release_labels().height
    assert cases.select("question", "gold", "text").null_count().row(0) == (0, 0, 0)


def test_agreement_counts_what_is_accepted_and_what_is_held_back() -> None:
    rows = [
        ("right", True, "right"),
        ("right", False, "none"),
        ("wrong", False, "none"),
        ("none", True, "right"),
    ]
    judged = pl.DataFrame(rows, schema=["label", "accepted", "said"], orient="row").with_columns(
        pl.lit("number").alias("kind"), pl.lit("written").alias("origin"), pl.lit(1).alias("round")
    )
    assert agreement(judged).rows() == [("number", 4, 0.5, 0.25)]
    assert failures(judged)["label"].to_list() == ["right", "none"]
    assert "| number | 4 | 50.0% | 25.0% | not installed |" in markdown(judged)


@pytest.mark.parametrize(
    ("gold", "form"),
    [
        ("1,250", "number"),
        ("−3", "number"),
        ("$4.50", "number"),
        ("14 km/h", "number"),
        ("(B)", "option"),
        ("C", "option"),
        ("no", "yes_no"),
        ("True", "true_false"),
        (r"\frac{1}{2}", "formula"),
        ("(2, 3)", "formula"),
        ("body of water", "phrase"),
    ],
)
def test_the_form_of_a_gold_answer_chooses_the_other_judge(gold: str, form: str) -> None:
    assert gold_form(gold) == form


def test_math_verify_alone_reads_numbers_but_no_options() -> None:
    assert math_verify_accepts(r"So $x = \frac{1}{2}$.", "0.5")
    assert not math_verify_accepts(r"So $x = \frac{1}{3}$.", "0.5")
    assert not math_verify_accepts("The answer is (B).", "(B)")


@pytest.mark.skipif(not has_harness(), reason="lm_eval[math] is not installed")
@pytest.mark.parametrize(
    ("text", "gold", "strict", "flexible"),
    [
        ("Two and two. The answer is 4.", "4", True, True),
        ("It is 4", "4", False, True),
        ("The answer is (B).", "(B)", True, True),
        ("I think that yes, it can", "yes", False, True),
        ("The answer is cat.", "cat", True, True),
        (r"So \boxed{x^2}", "x^2", False, True),
        ("Final Answer: The final answer is $x^2$. I hope it is correct.", "x^2", True, False),
    ],
)
def test_the_harness_reads_answers_by_its_own_filters(
    text: str, gold: str, strict: bool, flexible: bool
) -> None:
    question = "Which?\nOptions:\n- dog\n- cat"
    assert harness_accepts(text, gold, question, strict=True) == strict
    assert harness_accepts(text, gold, question, strict=False) == flexible
