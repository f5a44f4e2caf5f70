"""Where a response comes from: what is known of its call, and what is not."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.responses.provenance import (
    A_MODEL,
    PROVENANCE_SCHEMA,
    THE_SOURCE,
    WRITER_SCHEMA,
    response_provenance,
    writers_of,
)
from tests.responses.written_calls import CREATED, answer_of, answers_of, judged_of


def row_of(quality: pl.DataFrame, answers: pl.DataFrame) -> dict[str, Any]:
    [row] = response_provenance(quality, answers).iter_rows(named=True)
    return row


def test_a_response_has_the_settings_the_tokens_and_the_cost_of_its_call() -> None:
    row = row_of(judged_of({"key": "a"}), answers_of(answer_of("b"), answer_of("a")))
    assert row == {
        "item_id": "item-0",
        "style": "detailed",
        "written_by": "writer",
        "verdict": "passed",
        "found_answer": "2",
        "key": "a",
        "model": "writer",
        "answered_by": "writer-2026",
        "fingerprint": "fp_1",
        "prompt_hash": "hash",
        "temperature": 0.7,
        "seed": 3,
        "request": '{"chat_template_kwargs": {"enable_thinking": true}}',
        "max_tokens": 99,
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "response_tokens": 30,
        "reasoning_tokens": 20,
        "answer_tokens": 10,
        "cut": "<|im_end|>",
        "cost": 0.25,
        "seconds": 1.5,
        "created": CREATED,
        "text": "One and one is two. The answer is 2",
    }


def test_the_columns_are_those_of_the_schema_and_the_text() -> None:
    table = response_provenance(judged_of({"key": "a"}), answers_of())
    assert table.schema == pl.Schema({**PROVENANCE_SCHEMA, "text": pl.String()})


@pytest.mark.parametrize(
    ("by_model", "writer"), [(True, A_MODEL), (False, THE_SOURCE)], ids=["model", "source"]
)
def test_without_a_call_only_the_kind_of_writer_is_known(by_model: bool, writer: str) -> None:
    row = row_of(judged_of({"by_model": by_model, "verdict": "no_answer"}), answers_of())
    known = {"item_id", "style", "written_by", "verdict", "found_answer", "text"}
    assert (row["written_by"], row["verdict"]) == (writer, "no_answer")
    assert {name for name, value in row.items() if value is not None} == known


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"response_tokens": 30, "reasoning_tokens": 20}, 10),
        ({"response_tokens": 30, "reasoning_tokens": None}, None),
        ({"response_tokens": 30, "reasoning_tokens": None, "reasoning": None}, 30),
        ({"response_tokens": 30, "reasoning_tokens": 20, "reasoning": None}, 10),
        ({"response_tokens": None, "reasoning_tokens": 20}, None),
        # A server that does not count the thinking among the tokens of the response.
        ({"response_tokens": 5, "reasoning_tokens": 20}, None),
    ],
)
def test_the_answers_tokens_are_those_without_thinking(
    counts: dict[str, Any], expected: int | None
) -> None:
    answers = answers_of(answer_of("a", **counts))
    assert row_of(judged_of({"key": "a"}), answers)["answer_tokens"] == expected


def test_thinking_that_was_stored_within_the_answer_is_not_counted_as_answer() -> None:
    answers = answers_of(answer_of("a", reasoning=None, reasoning_tokens=None))
    row = row_of(judged_of({"key": "a", "style": "thinking"}), answers)
    assert (row["response_tokens"], row["answer_tokens"]) == (30, None)


def test_a_call_without_some_settings_has_none_in_their_columns() -> None:
    row = row_of(judged_of({"key": "a"}), answers_of(answer_of("a", settings='{"seed": null}')))
    names = ("temperature", "seed", "request", "max_tokens")
    assert {name: row[name] for name in names} == dict.fromkeys(names)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["detailed", "thinking", "answer_only"]),
        st.sampled_from(["passed", "no_answer"]),
    ),
    min_size=1,
    max_size=12,
)
COSTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.integers(1, 9).map(float))
)


@given(rows=ROWS, costs=COSTS)
def test_each_call_costs_once_and_each_response_counts_once(
    rows: list[tuple[str | None, str, str]], costs: dict[str, float | None]
) -> None:
    judged = judged_of(*({"key": k, "style": s, "verdict": v} for k, s, v in rows))
    answers = answers_of(*(answer_of(key, cost=cost) for key, cost in costs.items()))
    writers = writers_of(response_provenance(judged, answers))
    assert writers.schema == WRITER_SCHEMA
    paid = [costs[key] for key in {key for key, _, _ in rows} if key in costs]
    assert writers["cost"].sum() == sum(cost for cost in paid if cost is not None)
    assert writers["responses"].sum() == len(rows)
    accepted = (writers["accepted"] * writers["responses"]).sum()
    assert accepted == pytest.approx(sum(verdict == "passed" for _, _, verdict in rows))


def test_a_cost_that_is_not_known_is_not_zero() -> None:
    answers = answers_of(answer_of("a", cost=None))
    writers = writers_of(response_provenance(judged_of({"key": "a"}), answers))
    assert writers["cost"].to_list() == [None]
