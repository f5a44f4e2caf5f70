"""Responses as conversations: what stands in the messages, and which calls are rows."""

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.conversations.formats import find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.conversations.think_blocks import join_thinking
from gradpipe.responses.export.message_rows import message_rows, message_schema
from gradpipe.responses.provenance import response_provenance
from tests.responses.written_calls import answer_of, answers_of, judged_of

ANSWER = "One and one is two. The answer is 2"
JOINED = join_thinking("Let me add.", ANSWER)


def items_of(context: str | None = None) -> pl.DataFrame:
    item = {
        "item_id": "item-0",
        "benchmark": "sums",
        "family": "math",
        "index": 0,
        "instruction": "What is 1 + 1?",
        "answer": "2",
        "responses": [],
        "context": context,
    }
    return pl.DataFrame([item], schema=ITEM_SCHEMA)


def exported(
    judged: pl.DataFrame, answers: pl.DataFrame, thinking: bool, context: str | None = None
) -> pl.DataFrame:
    provenance = response_provenance(judged, answers)
    return message_rows(items_of(context), provenance, answers, with_thinking=thinking)


def test_the_question_and_the_answer_are_the_messages() -> None:
    table = exported(judged_of({"key": "a"}), answers_of(answer_of("a")), thinking=False)
    assert table.schema == message_schema(with_thinking=False)
    [row] = table.iter_rows(named=True)
    assert row["messages"] == [
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": ANSWER},
    ]
    assert (row["gold_answer"], row["model"], row["cost"]) == ("2", "writer", 0.25)
    [request] = json.loads(row["request_messages"])
    assert request["content"] == "Explain why 2 is right."


def test_thinking_stands_beside_the_content_on_request() -> None:
    table = exported(judged_of({"key": "a"}), answers_of(answer_of("a")), thinking=True)
    assert table["messages"][0].to_list() == [
        {"role": "user", "content": "What is 1 + 1?", "reasoning_content": None},
        {"role": "assistant", "content": ANSWER, "reasoning_content": "Let me add."},
    ]


def test_two_styles_of_one_call_are_one_row() -> None:
    judged = judged_of(
        {"key": "a", "style": "answer_only"}, {"key": "a", "style": "thinking", "text": JOINED}
    )
    answers = answers_of(answer_of("a"))
    assert exported(judged, answers, thinking=False)["style"].to_list() == ["answer_only"]
    assert exported(judged, answers, thinking=True)["style"].to_list() == ["thinking"]
    alone = exported(judged[1:], answers, thinking=False)
    assert alone["messages"][0][-1] == {"role": "assistant", "content": ANSWER}


def test_a_response_of_an_unknown_call_is_divided_at_its_think_block() -> None:
    judged = judged_of({"style": "thinking", "text": JOINED}, {"text": "Well. It is 2"})
    table = exported(judged, answers_of(), thinking=True)
    last = [messages[-1] for messages in table["messages"].to_list()]
    assert [message["content"] for message in last] == [ANSWER, "Well. It is 2"]
    assert [message["reasoning_content"] for message in last] == ["Let me add.", None]
    assert table["request_messages"].to_list() == [None, None]


def test_a_response_of_the_source_is_no_row() -> None:
    judged = judged_of({"by_model": False})
    assert exported(judged, answers_of(), thinking=False).is_empty()


def test_earlier_turns_of_a_conversation_precede_the_response() -> None:
    earlier = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is 1 + 1?"}]},
    ]
    table = exported(
        judged_of({"key": "a"}),
        answers_of(answer_of("a")),
        thinking=False,
        context=json.dumps({"messages": earlier}),
    )
    turns = [(one["role"], one["content"]) for one in table["messages"][0]]
    assert turns == [("system", "Be brief."), ("user", "What is 1 + 1?"), ("assistant", ANSWER)]


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(
    lambda text: text.strip() and "<" not in text and "[" not in text
)


@given(thinking=TEXTS, answer=TEXTS)
def test_readers_of_messages_get_the_response_that_was_measured(thinking: str, answer: str) -> None:
    answers = answers_of(answer_of("a", text=answer, reasoning=thinking))
    judged = judged_of({"key": "a", "style": "thinking", "text": join_thinking(thinking, answer)})
    table = exported(judged, answers, thinking=True)
    data_format = find_format(table, "the export")
    assert data_format.kind == "messages"
    [example] = read_examples(table, data_format, "the export")
    [_, response] = example.messages
    assert (response["content"], response["reasoning_content"]) == (answer, thinking)
