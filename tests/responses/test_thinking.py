"""Two styles of one call: the answer of a thinking model, with its thinking and without it."""

from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.items import build_items
from gradpipe.responses.gates import judge_responses
from gradpipe.responses.thinking import rationale_responses, written_responses
from gradpipe.responses.written import judge_ready_made, judge_written, with_rationales
from gradpipe.styles import THINKING_STYLES

CALLS = pl.DataFrame(
    {
        "key": ["k", "k", "k"],
        "item_id": ["i", "i", "i"],
        "style": ["answer_only", "thinking", "detailed"],
    }
)


def written(text: str, reasoning: str | None, finish_reason: str = "stop") -> dict[str, str]:
    answers = pl.DataFrame(
        {"key": "k", "text": text, "finish_reason": finish_reason, "reasoning": reasoning},
        schema_overrides={"reasoning": pl.String},
    )
    return dict(written_responses(CALLS, answers).select("style", "text").iter_rows())


def items(rationale: str | None = None, **ready: str | None) -> pl.DataFrame:
    table = pl.DataFrame(
        {
            "instruction": ["What is 2 + 2?"],
            "answer": ["4"],
            "rationale": pl.Series([rationale], dtype=pl.String),
            **{style: pl.Series([text], dtype=pl.String) for style, text in ready.items()},
        }
    )
    return build_items(table, "sums", "math", {(style, "correct"): style for style in ready})


def made(source: pl.DataFrame) -> dict[str, str]:
    table = rationale_responses(source, list(THINKING_STYLES))
    return dict(table.select("style", "text").iter_rows())


def test_a_call_is_both_styles_and_others_keep_the_answer_alone() -> None:
    thinking = "<think>\nTwo and two.\n</think>\n\n4"
    expected = {"answer_only": "4", "thinking": thinking, "detailed": "4"}
    assert written("4", "Two and two.") == expected
    # As it was stored before the thinking had a column of its own.
    assert written(thinking, None) == expected


def test_an_answer_without_thinking_is_not_changed() -> None:
    assert set(written(" It is 4.\n", None).values()) == {" It is 4.\n"}


@pytest.mark.parametrize(
    ("text", "reasoning", "finish", "verdicts"),
    [
        ("It is 4.", "Two and two.", "stop", ("passed", "passed")),
        ("It is 5.", "Two and two is 4.", "stop", ("answer_differs", "answer_differs")),
        ("It is 4.", r"Maybe \boxed{5}.", "stop", ("passed", "passed")),
        ("It is 4.", None, "stop", ("no_thinking", "no_thinking")),
        ("It is", "Two and two.", "length", ("cut_off", "cut_off")),
        ("", "Two and two is", "length", ("cut_off", "cut_off")),
        ("", "Two and two is 4.", "stop", ("empty", "cut_off")),
    ],
)
def test_the_gates_judge_the_answer_and_ask_for_thinking(
    text: str, reasoning: str | None, finish: str, verdicts: tuple[str, str]
) -> None:
    source = items()
    answers = pl.DataFrame(
        {"key": "k", "text": text, "finish_reason": finish, "reasoning": reasoning},
        schema_overrides={"reasoning": pl.String},
    )
    calls = CALLS.with_columns(item_id=pl.lit(source["item_id"][0]))
    judged = judge_written(source, written_responses(calls, answers), None)
    found = dict(judged.select("style", "verdict").iter_rows())
    assert (found["answer_only"], found["thinking"]) == verdicts


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("<think>\nMaybe \\boxed{5}.\n</think>\n\nThe answer is 4.", "passed"),
        ("<think>\nI can't help with that.\n</think>\n\nThe answer is 4.", "passed"),
        ("<think>\nIt is 4.\n</think>\n\nI can't help with that.", "refusal"),
        ("<think>\nunclosed thoughts about 4", "cut_off"),
        ("<think>\nIt is 4.\n</think>\n", "empty"),
        ("Maybe \\boxed{5}.\n</think>\nThe answer is 4.", "passed"),
    ],
)
@pytest.mark.parametrize("style", ["detailed", "thinking"])
def test_an_answer_within_the_thinking_is_not_the_final_one(
    style: str, text: str, verdict: str
) -> None:
    row: dict[str, Any] = {"style": style, "family": "math", "answer": "4", "text": text}
    judged = judge_responses(pl.DataFrame([{**row, "finish_reason": "stop"}]))
    assert judged["verdict"].to_list() == [verdict]
    assert judged["text"].to_list() == [text]


def test_a_rationale_is_the_thinking_and_the_bare_answer_the_answer() -> None:
    rich = items("Rationale.", simplified="Short.", detailed="Long.")
    assert made(rich) == {"answer_only": "4", "thinking": "<think>\nLong.\n</think>\n\n4"}
    assert made(items("Rationale.", simplified="Short."))["thinking"].startswith("<think>\nShort.")
    assert made(items("Rationale."))["thinking"].startswith("<think>\nRationale.")
    thought = items(detailed="<think>\nOwn.\n</think>\n\nFour.")
    assert made(thought)["thinking"] == "<think>\nOwn.\n</think>\n\n4"
    assert made(items(none="4")) == made(items(" ")) == {}


def test_a_sources_own_thinking_stays() -> None:
    own = items("Rationale.", thinking="<think>\nOwn.\n</think>\n\n4")
    assert made(own) == {"answer_only": "4"}
    both = with_rationales(own, list(THINKING_STYLES))
    judged = judge_ready_made(both)
    assert dict(judged.select("style", "verdict").iter_rows()) == dict.fromkeys(
        THINKING_STYLES, "passed"
    )
