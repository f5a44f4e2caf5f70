"""Wrong responses differ from correct ones in their final answer, and in nothing else."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import build_items, ready_made
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.texts import last_boxed
from gradpipe.errors import DataError
from gradpipe.responses.build import build_examples
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.gates import judge_responses
from gradpipe.responses.other_answers import other_answer
from gradpipe.responses.written import QUALITY_SCHEMA, with_mismatches
from gradpipe.responses.wrong import wrong_response, wrong_responses

RELEASE = Path("/work/shared/layer-gradient")
OPTIONS = "How much?\nOptions:\n(A) 3\n(B) 4\n(C) 12"
PLACES = "Where?\nOptions:\n- in a drawer\n- in the soup"


@pytest.mark.parametrize(
    ("gold", "question", "pattern"),
    [
        ("yes", "", "no"),
        ("True", "", "False"),
        ("(C)", OPTIONS, r"\([AB]\)"),
        ("B", "", "[ACDE]"),
        ("Sentence A", "", "Sentence B"),
        ("in a drawer", PLACES, "in the soup"),
        ("72", "", r"\d\d"),
        ("-3.50", "", r"-\d+\.\d\d"),
        ("1,200", "", r"\d,\d{3}|\d{3}"),
        ("$18", "", r"\$\d+"),
        ("\\frac{5}{12}", "", r"\\frac\{5\}\{\d+\}"),
        ("(18, -18)", "", r"\(18, -\d+\)"),
    ],
)
def test_another_answer_has_the_form_of_the_right_one(
    gold: str, question: str, pattern: str
) -> None:
    for seed in range(5):
        other = other_answer(gold, question, seed)
        assert other is not None
        assert re.fullmatch(pattern, other)
        assert not same_answer(other, gold)
    assert other_answer(gold, question, 3) == other_answer(gold, question, 3)


def test_an_answer_without_another_of_its_form_has_none() -> None:
    assert other_answer("\\sqrt{x}", "", 0) is None
    assert other_answer("Jane Austen", "Who wrote it?", 0) is None


@settings(max_examples=25)
@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=2), st.integers(0, 50))
def test_another_number_is_another_number(number: object, seed: int) -> None:
    for gold in (str(number), f"{number:,}"):
        other = other_answer(gold, "", seed)
        assert other is not None
        assert answer_kind(other) == "number"
        assert not same_answer(other, gold)


@pytest.mark.parametrize(
    ("question", "gold", "text", "pattern"),
    [
        ("3 × 4?", "12", "It is 3 × 4 = 12.\n#### 12", r"It is 3 × 4 = 12\.\n#### \d+"),
        (OPTIONS, "(C)", "So the answer is (C) 12.", r"So the answer is (\(A\) 3|\(B\) 4)\."),
        ("Is it?", "no", "It is not. The answer is No.", r"It is not\. The answer is Yes\."),
        (PLACES, "in a drawer", "in a drawer", "in the soup"),
        ("How much?", "1200", "The price is $1,200.", r"The price is \$\d?,?\d{3}\."),
    ],
)
def test_only_the_final_statement_is_edited(
    question: str, gold: str, text: str, pattern: str
) -> None:
    edited = wrong_response(text, gold, question, 0)
    assert edited is not None
    assert edited != text
    assert re.fullmatch(pattern, edited)


def test_a_response_that_is_not_correct_or_writes_no_answer_is_not_edited() -> None:
    assert wrong_response("It is 13.", "12", "3 × 4?", 0) is None
    assert wrong_response("That is implausible.", "no", "Is it?", 0) is None
    assert wrong_response("It is 12.", None, "3 × 4?", 0) is None


def judged_as(items: pl.DataFrame) -> pl.DataFrame:
    """Correct responses of items, with the gates' verdict on the wrong one made of each."""
    correct = ready_made(items).filter(pl.col("relevance") == "correct")
    parts = []
    for (style,), of_style in correct.group_by("style", maintain_order=True):
        made = wrong_responses(of_style, 0)
        own = of_style.drop("text").join(made, on="item_id", how="inner")
        before = judge_responses(of_style.with_columns(finish_reason=pl.lit("stop")))
        after = judge_responses(own.with_columns(finish_reason=pl.lit("stop")))
        passed = before.filter(verdict="passed").height
        parts.append((style, passed, after["verdict"].to_list()))
    return pl.DataFrame(
        parts, schema={"style": pl.String, "passed": pl.Int64, "verdicts": pl.List(pl.String)},
        orient="row",
    )  # fmt: skip


@pytest.mark.parametrize("benchmark", ["mini_maths", "mini_commonsense"])
def test_the_gate_rejects_every_wrong_response_of_the_packaged_benchmarks(benchmark: str) -> None:
    config = BenchmarkConfig.model_validate({"name": benchmark, "source": "mini"})
    for _, passed, verdicts in judged_as(read_items(config)).iter_rows():
        assert set(verdicts) == {"answer_differs"}
        assert len(verdicts) == passed


@pytest.mark.skipif(not RELEASE.exists(), reason="needs the paper's files")
@pytest.mark.parametrize(
    ("file", "least"),
    [
        ("cot_500/gsm8k_train_{}.json", 0.8),
        ("cot_500/aqua_train_{}.json", 0.7),
        ("cot_500/ecqa_train_{}.json", 0.6),
        ("cot_500/creak_train_{}.json", 0.7),
        ("cot_500/sensemaking_train_{}.json", 0.8),
        ("cot_500/strategyqa_train_{}.json", 0.5),
        ("lighteval_math/algebra_{}.json", 0.8),
        ("lighteval_math/geometry_{}.json", 0.8),
    ],
)
def test_the_gate_rejects_every_wrong_response_of_the_release(file: str, least: float) -> None:
    texts = {
        style: [row["output"] for row in json.loads((RELEASE / file.format(name)).read_text())[:10]]
        for style, name in (
            ("none", "no_cot"),
            ("simplified", "with_cot"),
            ("detailed", "with_cot_gpt4o"),
        )
        if (RELEASE / file.format(name)).exists()
    }
    rows = json.loads((RELEASE / file.format("with_cot")).read_text())[:10]
    boxed = [last_boxed(text) for text in texts["simplified"]]
    table = pl.DataFrame(
        {
            "instruction": [row["instruction"] for row in rows],
            "answer": texts.get("none", boxed),
            "rationale": [None] * len(rows),
            **texts,
        },
        schema_overrides={"rationale": pl.String, "answer": pl.String},
    )
    items = build_items(table, "b", "math", {(style, "correct"): style for style in texts})
    for style, passed, verdicts in judged_as(items).iter_rows():
        assert set(verdicts) <= {"answer_differs"}
        # Answers that are described, or stated twice, are not edited.
        assert len(verdicts) >= (least if style == "detailed" else 1) * passed - 1


@pytest.fixture
def items() -> pl.DataFrame:
    table = pl.DataFrame(
        {
            "instruction": ["1 + 1?", "2 + 2?", "3 + 3?"],
            "answer": ["2", "4", "6"],
            "rationale": [None] * 3,
            "none": ["2", "4", "6"],
            "detailed": ["One and one.\n#### 2", "The answer is 5.", "The answer is 6."],
        },
        schema_overrides={"rationale": pl.String},
    )
    columns = {(style, "correct"): style for style in ("none", "detailed")}
    return build_items(table, "sums", "math", columns)


def test_wrong_examples_stand_beside_the_correct_ones(items: pl.DataFrame) -> None:
    examples = build_examples(items, None, ["correct", "wrong"], "derangement", seed=1)
    counts = examples.group_by("style", "relevance").len().sort("style", "relevance")
    # The second detailed response is not correct, so there is nothing to edit.
    assert counts.rows() == [
        ("detailed", "correct", 3),
        ("detailed", "wrong", 2),
        ("none", "correct", 3),
        ("none", "wrong", 3),
    ]
    wrong = examples.filter(relevance="wrong", index=0)
    answers = [text.rsplit(maxsplit=1)[-1] for text in wrong["response"]]
    assert answers[0] == answers[1] != "2"
    correct = build_examples(items, None, ["correct"], "derangement", seed=0)
    assert correct.equals(examples.filter(relevance="correct"))


def test_mismatches_of_a_generator_are_wrong_responses(items: pl.DataFrame) -> None:
    quality = pl.DataFrame(
        {
            "by_model": True,
            "item_id": items["item_id"],
            "style": "detailed",
            "verdict": ["answer_differs", "passed", "cut_off"],
            "answer": ["2", "4", "6"],
            "found_answer": ["3", "4", None],
            "text": ["The answer is 3.", "The answer is 4.", "The"],
            "key": None,
            "judged_by": None,
            "judge_reply": None,
        },
        schema=QUALITY_SCHEMA,
    )
    added = with_mismatches(items, quality)
    examples = build_examples(
        added, None, ["correct", "wrong"], "derangement", seed=0, wrong="mismatches"
    )
    wrong = examples.filter(relevance="wrong")
    assert wrong.select("index", "style", "response").rows() == [
        (0, "detailed", "The answer is 3.")
    ]


def test_a_benchmark_without_answers_has_no_wrong_responses(items: pl.DataFrame) -> None:
    unknown = items.with_columns(answer=pl.lit(None, pl.String))
    with pytest.raises(DataError, match="no wrong responses"):
        build_examples(unknown, None, ["wrong"], "derangement", seed=0)
