"""Refusals, cut-off texts, wrong answers and wrong lengths are caught; ordinary text is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.responses.gates import (
    VERDICTS,
    check_quality,
    is_refusal,
    is_unfinished,
    judge_responses,
    summarize_verdicts,
)
from gradpipe.responses.token_counts import count_words

SCHEMA = {
    "style": pl.String,
    "family": pl.String,
    "answer": pl.String,
    "text": pl.String,
    "finish_reason": pl.String,
}
GOOD: dict[str, Any] = {
    "style": "simplified",
    "family": "math",
    "answer": "4",
    "text": "Two and two is 4.\nThe final answer is 4",
    "finish_reason": "stop",
}


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([GOOD | row for row in rows], schema=SCHEMA)


def verdict(**changes: Any) -> str:
    return str(judge_responses(table(changes), count_words)["verdict"][0])


def outputs(shared: Path, pattern: str) -> Iterator[str]:
    files = sorted((shared / "layer-gradient").glob(pattern))
    assert files
    for file in files:
        yield from (row["output"] for row in json.loads(file.read_text("utf-8")))


REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I’m sorry, I can’t help with that.",
    "I am sorry, but as an AI language model I don't have opinions.",
    "Sorry, but I'm unable to answer this question without more context.",
    "I apologize, but I cannot provide that information.",
    "Unfortunately, I am not able to browse the internet.",
    "I cannot fulfill this request.",
    "I can't help with that.",
    "I won't be able to comply.",
    "As an AI, I don't have personal experience of this, yet people say it is warm.",
    "I must decline to answer this question.",
    "I'm just an AI model and cannot verify facts about living people.",
]
ORDINARY = [
    "“I'm sorry,” said the fox, “but I can't reach the grapes.” The final answer is no",
    "The statement is false: a dog cannot help with homework.",
    "I cannot be a prime number, since I = 4. The answer is 4.",
    "Sorry is a town in Poland.",
    "Unfortunately, the king could not provide for his army.",
    "He refuses to answer, so we must decline the second option.",
    "An AI language model is trained on text.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_caught_whatever_else_it_says(text: str) -> None:
    assert verdict(text=text) == "refusal"
    assert verdict(text=f"{text}\nThe final answer is 4") == "refusal"
    assert verdict(text=text, style="length_100", family="knowledge") == "refusal"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_no_response_of_the_release_is_taken_for_a_refusal(shared: Path) -> None:
    texts = list(outputs(shared, "*/*.json"))
    assert len(texts) == 27_908
    assert [text[:80] for text in texts if is_refusal(text)] == []


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_response_without_text_is_empty(text: str | None) -> None:
    assert verdict(text=text) == verdict(text=text, style="none") == "empty"


def test_the_limit_s_end_is_a_cut_in_every_style_but_the_bare_ones() -> None:
    assert verdict(finish_reason="length") == "cut_off"
    assert verdict(finish_reason="length", style="length_100", family="knowledge") == "cut_off"
    assert verdict(finish_reason="length", style="none", text="4") == "passed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So the answer is \\boxed{4}.\n\nLet me check by counting: 1, 2, 3,", "passed"),
        ("#### 4\n\nThe next problem asks for the", "passed"),
        ("**4**\n\n**Explanation:** We add two and two, which", "passed"),
        ("2 + 2 = 4.\n\nQuestion: What is 3 + 3?\nWe add three and", "passed"),
        ("The answer is 5. To see why, count the", "answer_differs"),
        ("**5**\n\n**Explanation:** We add two and two, which", "answer_differs"),
        # The number itself may be cut off, or be taken back.
        ("So the answer is 4", "cut_off"),
        ("The answer is 4. Wait, that is wrong, since", "cut_off"),
        ("There are 4. Next we subtract the", "cut_off"),
        ("Step 1: x = 4\nStep 2: \\boxed{y = ", "cut_off"),
    ],
)
def test_a_final_answer_that_is_stated_before_the_limit_s_end_is_compared(
    text: str, expected: str
) -> None:
    assert verdict(text=text, finish_reason="length") == expected
    assert verdict(text=text, style="detailed_cut", finish_reason="length") == "cut_off"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, a bear can swim. The river, which flows from the", "passed"),
        ("No, a bear cannot swim. The river, which flows from the", "answer_differs"),
        ("Yes, the Queen is tall. The river, which flows from the", "cut_off"),
        ("Some say that bears do. The river, which flows from the", "cut_off"),
        ("Yes, a bear can swim. But in the end, no, a bear cannot", "cut_off"),
    ],
)
def test_a_yes_at_the_beginning_is_stated_before_the_limit_s_end(text: str, expected: str) -> None:
    row = GOOD | {"text": text, "answer": "yes", "finish_reason": "length"}
    asked = table(row).with_columns(pl.lit("Can a bear swim?").alias("instruction"))
    assert judge_responses(asked)["verdict"].to_list() == [expected]


def test_a_last_entry_needs_no_full_stop_where_the_one_before_it_has_none() -> None:
    entries = "The answer is 4.\n\n- Stories that a river tells to the sea at night"
    assert not is_unfinished(f"{entries}\n- Songs that the sea sings to all of its rivers")
    assert is_unfinished(f"{entries}.\n- Songs that the sea sings to all of its")


@pytest.mark.parametrize(
    "text",
    [
        "So the sum of the first two, which we found above, is then",
        "Hence we get\n\\[\nx = \\frac{1}{2",
        "so \\[ x = 4 \\] and therefore \\( 2 x",
        "The final answer is\n\n\\",
        "First, 2 + 2 =",
    ],
)
def test_reasoning_of_unknown_finish_that_stops_midway_is_cut_off(text: str) -> None:
    assert is_unfinished(text)
    assert verdict(text=text, finish_reason=None) == "cut_off"
    assert verdict(text=text, finish_reason="stop") != "cut_off"


@pytest.mark.parametrize(
    "text",
    [
        "Two and two.\nThe final answer is 4",
        "Therefore, the answer is:\n- carpal tunnel syndrome",
        "Thus \\[ \\boxed{4} \\]",
        "Hence, after all of these many steps, the correct answer is: \\( \\boxed{30} \\) days",
        "**It is 4**",
    ],
)
def test_an_answer_or_an_entry_of_a_list_is_an_end(text: str) -> None:
    assert not is_unfinished(text)


def test_no_rationale_of_the_release_is_cut_off_and_few_details_are(shared: Path) -> None:
    assert sum(map(is_unfinished, outputs(shared, "*[0h]/*_with_cot.json"))) == 0
    assert sum(map(is_unfinished, outputs(shared, "cot_500/*_gpt4o.json"))) <= 25
    # GPT-4o ran into its limit here: these end in the middle of a formula.
    mathematics = sum(map(is_unfinished, outputs(shared, "lighteval_math/*_gpt4o.json")))
    assert 150 <= mathematics <= 220


@pytest.mark.parametrize(
    ("style", "words", "expected"),
    [
        ("length_100", 100, "passed"),
        ("length_100", 49, "off_length"),
        ("length_100", 161, "off_length"),
        ("length_500", 255, "passed"),
        ("length_1000", 700, "passed"),
        ("length_1000", 400, "off_length"),
        ("article", 9, "passed"),
    ],
)
def test_knowledge_has_its_style_s_length(style: str, words: int, expected: str) -> None:
    row = {"style": style, "family": "knowledge", "text": "word " * words, "answer": "A title"}
    assert verdict(**row) == expected
    assert judge_responses(table(row))["verdict"].to_list() == ["passed"]


def test_reasoning_is_compared_with_its_gold_answer() -> None:
    judged = judge_responses(
        table({}, {"answer": "5"}, {"text": "It is a simple addition."}, {"answer": None})
    )
    assert judged["verdict"].to_list() == ["passed", "answer_differs", "no_answer", "passed"]
    assert judged["found_answer"].to_list() == ["4", "4", None, None]


def test_bare_answers_are_only_compared() -> None:
    assert verdict(style="none", text="4", finish_reason=None) == "passed"
    assert verdict(style="none", text="5") == "answer_differs"
    assert verdict(style="none_padded", text="It is quiet.\nThe final answer is 4") == "passed"


def test_a_cut_detail_owes_no_answer_and_no_end() -> None:
    text = "We begin by adding up what there is of the first kind and so"
    assert verdict(style="detailed_cut", text=text, finish_reason=None) == "passed"


def test_the_question_s_options_are_known_where_there_is_one() -> None:
    rows = table({"answer": "(B)", "text": "Thus it is \\boxed{8}."})
    assert judge_responses(rows)["verdict"].to_list() == ["no_answer"]
    asked = rows.with_columns(instruction=pl.lit("How many?\nOptions:\n(A) 2\n(B) 8"))
    assert judge_responses(asked).select("verdict", "found_answer").row(0) == ("passed", "(B)")


def test_the_other_columns_and_the_order_are_kept() -> None:
    rows = table({}, {"answer": "5"}).with_columns(item_id=pl.Series(["x", "y"]))
    assert judge_responses(rows).drop("verdict", "found_answer").equals(rows)
    assert judge_responses(rows.clear()).is_empty()


def test_verdicts_are_counted_by_style() -> None:
    judged = judge_responses(
        table(*[{}] * 3, {"answer": "5"}, {"style": "none", "text": "4"}), count_words
    )
    assert summarize_verdicts(judged).rows() == [
        ("none", "passed", 1, 1.0),
        ("simplified", "passed", 3, 0.75),
        ("simplified", "answer_differs", 1, 0.25),
    ]
    assert set(judged["verdict"]) <= set(VERDICTS)


def test_the_check_holds_every_style_to_the_limit() -> None:
    judged = judge_responses(table(*[{}] * 3, {"answer": "5"}, {"style": "none", "text": "4"}))
    check = check_quality(judged, 0.3)
    assert (check.name, check.passed) == ("answers_agree", True)
    assert check.numbers == {"none": 0.0, "simplified": 0.25}
    assert "simplified 25.0% (mostly answer differs)" in check.note
    assert not check_quality(judged, 0.2).passed


def test_nothing_to_judge_is_no_fault() -> None:
    check = check_quality(judge_responses(table({})).clear(), 0.0)
    assert check.passed
    assert check.note == "there are no responses to judge"
