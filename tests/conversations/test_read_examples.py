"""Every format gives the same examples from every container, and reasons for unusable rows."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.table_files import parse_table, read_table
from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
    Unusable,
)
from gradpipe.conversations.formats import find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.errors import DataError
from gradpipe.standalone.user_examples import to_examples

Message = dict[str, Any]
ASK, SAY = "What is 2+2?", "It is 4."


def user(text: Any = ASK) -> Message:
    return {"role": "user", "content": text}


def assistant(text: Any = SAY, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds."}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
CALLING: Message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "4"}
TWO = Conversation((user(), assistant()))
DIVIDED = Conversation((user(), assistant()), prompt_messages=1)

CASES: dict[str, tuple[dict[str, Any], dict[str, str] | None, Example]] = {
    "messages": (
        {"messages": [SYSTEM, user(), assistant()], "id": 7},
        None,
        Conversation((SYSTEM, user(), assistant())),
    ),
    "messages in a column of another name": (
        {"chat": [user(), assistant()]},
        {"messages": "chat"},
        TWO,
    ),
    "messages with a system message, tools and template settings of the row's own": (
        {
            "messages": [user(), assistant()],
            "system": "Be brief.",
            "tools": [TOOL],
            "chat_template_kwargs": {"enable_thinking": False},
        },
        None,
        Conversation(
            (SYSTEM, user(), assistant()),
            tools=(TOOL,),
            template_settings={"enable_thinking": False},
        ),
    ),
    "a system message of the conversation comes before the row's": (
        {"messages": [SYSTEM, user(), assistant()], "system": "Be long."},
        None,
        Conversation((SYSTEM, user(), assistant())),
    ),
    "a tool call and its answer": (
        {"messages": [user(), CALLING, RESULT, assistant()]},
        None,
        Conversation((user(), CALLING, RESULT, assistant())),
    ),
    "a tool call as the response": (
        {"messages": [user(), CALLING]},
        None,
        Conversation((user(), CALLING)),
    ),
    "thinking beside the content": (
        {"messages": [user(), assistant(reasoning_content="2 and 2.")]},
        None,
        Conversation((user(), assistant(reasoning_content="2 and 2."))),
    ),
    "content as parts": (
        {
            "messages": [
                user([{"type": "text", "text": "What is "}, {"type": "text", "text": "2+2?"}]),
                assistant([{"type": "text", "text": SAY}]),
            ]
        },
        None,
        TWO,
    ),
    "messages as an object of lists": (
        {"messages": {"role": ["user", "assistant"], "content": [ASK, SAY]}},
        None,
        TWO,
    ),
    "two responses in a row are for the template to judge": (
        {"messages": [user(), assistant("Well."), assistant()]},
        None,
        Conversation((user(), assistant("Well."), assistant())),
    ),
    "an empty system message is kept": (
        {"messages": [{"role": "system", "content": ""}, user(), assistant()]},
        None,
        Conversation(({"role": "system", "content": ""}, user(), assistant())),
    ),
    "ShareGPT": (
        {
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": ASK},
                {"from": "gpt", "value": SAY},
            ]
        },
        None,
        Conversation((SYSTEM, user(), assistant())),
    ),
    "ShareGPT with a tool": (
        {
            "conversations": [
                {"from": "human", "value": ASK},
                {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 2}}'},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": SAY},
            ]
        },
        None,
        Conversation(
            (
                user(),
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}
                    ],
                },
                {"role": "tool", "content": "4"},
                assistant(),
            )
        ),
    ),
    "conversations with roles": ({"conversations": [user(), assistant()]}, None, TWO),
    "prompt and completion, texts": (
        {"prompt": "2+2=", "completion": "4"},
        None,
        Pair("2+2=", "4", joined=True),
    ),
    "prompt and completion, messages": (
        {"prompt": [user()], "completion": [assistant()]},
        None,
        DIVIDED,
    ),
    "prompt and response": (
        {"prompt": "2+2=", "response": "4"},
        None,
        Pair("2+2=", "4", joined=True),
    ),
    "chosen text": (
        {"prompt": "2+2=", "chosen": "4", "rejected": "5"},
        None,
        Pair("2+2=", "4", joined=True),
    ),
    "the rejected one, by its name": (
        {"prompt": "2+2=", "chosen": "4", "rejected": "5"},
        {"prompt": "prompt", "completion": "rejected"},
        Pair("2+2=", "5", joined=True),
    ),
    "chosen messages after a prompt of messages": (
        {"prompt": [user()], "chosen": [assistant()], "rejected": [assistant("5")]},
        None,
        DIVIDED,
    ),
    "chosen conversation that repeats a prompt of messages": (
        {"prompt": [user()], "chosen": [user(), assistant()]},
        None,
        DIVIDED,
    ),
    "chosen conversation that repeats a prompt of text": (
        {"prompt": ASK, "chosen": [SYSTEM, user(), assistant()]},
        None,
        Conversation((SYSTEM, user(), assistant()), prompt_messages=2),
    ),
    "chosen conversation without a prompt": (
        {"chosen": [user(), assistant()], "rejected": [user(), assistant("5")]},
        None,
        DIVIDED,
    ),
    "the rejected conversation without a prompt": (
        {"chosen": [user(), assistant("5")], "rejected": [user(), assistant()]},
        {"chosen": "rejected"},
        DIVIDED,
    ),
    "chosen text without a prompt": (
        {"chosen": "Human: 2+2? Assistant: Four.", "rejected": "Human: 2+2? Assistant: Five."},
        None,
        Pair("Human: 2+2? Assistant: F", "our.", joined=True),
    ),
    "question and answer": ({"question": ASK, "answer": SAY}, None, Pair(ASK, SAY)),
    "problem and solution": ({"problem": ASK, "solution": SAY}, None, Pair(ASK, SAY)),
    "question and answer with a system message": (
        {"question": ASK, "answer": SAY, "system": "Be brief."},
        None,
        Conversation((SYSTEM, user(), assistant()), prompt_messages=2),
    ),
    "instruction, input and output": (
        {"instruction": "Add.", "input": "2 2", "output": "4"},
        None,
        Pair("Add.\n2 2", "4"),
    ),
    "instruction and output are read as ever, whatever else there is": (
        {
            "instruction": "Add.",
            "output": "<think>4",
            "system": "Be brief.",
            "messages": [user(), assistant()],
        },
        None,
        Pair("Add.", "<think>4"),
    ),
    "instructions in JSON are texts": (
        {"instruction": json.dumps([user()]), "output": SAY},
        None,
        Pair(json.dumps([user()]), SAY),
    ),
    "text": ({"text": "2+2=4", "url": "x"}, None, PlainText("2+2=4")),
    "ids alone": ({"input_ids": [5, 6, 7]}, None, TokenIds((5, 6, 7), (True, True, True))),
    "ids and labels": (
        {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
        None,
        TokenIds((5, 6, 7), (False, True, True)),
    ),
    "ids and a mask": (
        {"input_ids": [5, 6, 7], "completion_mask": [0, 0, 1]},
        None,
        TokenIds((5, 6, 7), (False, False, True)),
    ),
    "ids and two masks": (
        {"input_ids": [5, 6, 7], "completion_mask": [0, 1, 1], "assistant_masks": [1, 1, 0]},
        None,
        TokenIds((5, 6, 7), (False, True, False)),
    ),
    "padding is dropped": (
        {"input_ids": [0, 5, 6], "attention_mask": [0, 1, 1], "labels": [-100, -100, 6]},
        None,
        TokenIds((5, 6), (False, True)),
    ),
    "spans of a response": (
        {
            "question": ASK,
            "answer": SAY,
            "spans": [
                {"name": "answer", "start": 6, "end": 8},
                {"name": "think", "start": 0, "end": 5},
            ],
        },
        None,
        Pair(ASK, SAY, spans=(TextSpan("think", 0, 5), TextSpan("answer", 6, 8))),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_format_gives_its_example_from_every_container(
    case: str, read: Callable[..., list[Example]]
) -> None:
    row, columns, expected = CASES[case]
    assert read([row], columns) == [expected]


def test_objects_that_datasets_writes_as_json_are_messages(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    calls = [
        {**CALL, "function": {"name": "add", "arguments": given}} for given in ("{}", {"a": 2})
    ]
    chats = [[user(), {**CALLING, "tool_calls": [call]}, RESULT, assistant()] for call in calls]
    tools = [[{"a": 1}], [{"a": "b"}]]
    lines = tmp_path / "data.jsonl"
    lines.write_text(
        "\n".join(
            json.dumps({"messages": chat, "tools": own})
            for chat, own in zip(chats, tools, strict=True)
        )
    )
    data = datasets.load_dataset(
        "json", data_files=str(lines), split="train", cache_dir=str(tmp_path / "cache")
    )
    data.to_parquet(tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet")
    examples = read_examples(table, find_format(table, "data"), "data")
    assert examples == [
        Conversation(tuple(chat), tools=tuple(own)) for chat, own in zip(chats, tools, strict=True)
    ]


def test_a_response_begins_after_the_last_response_template(
    read: Callable[..., list[Example]],
) -> None:
    mark = "### Response:\n"
    rows = [{"text": f"{mark}1\n{mark}2"}, {"text": "1"}, {"text": mark}]
    first, *others = read(rows, None, mark)
    assert first == PlainText(rows[0]["text"], start=2 * len(mark) + 2)
    assert all(isinstance(other, Unusable) for other in others)


UNUSABLE: dict[str, tuple[list[dict[str, Any]], str]] = {
    "ends with the user": ([{"messages": [user(), assistant(), user()]}], "ends"),
    "ends with a tool": ([{"messages": [user(), CALLING, RESULT]}], "ends"),
    "no messages": ([{"messages": []}], "no message"),
    "null": ([{"messages": None}], "null"),
    "an empty turn": ([{"messages": [user(""), assistant()]}], "message 1.*empty"),
    "a blank response": ([{"messages": [user(), assistant(" \n")]}], "message 2.*empty"),
    "no role": ([{"messages": [{"content": "a"}, assistant()]}], "message 1.*role"),
    "a role that is a number": (
        [{"messages": [{"role": 7, "content": "a"}, assistant()]}],
        "message 1.*number",
    ),
    "a sender that no library knows": (
        [{"messages": [{"from": "dog", "value": "a"}, assistant()]}],
        "message 1.*'dog'",
    ),
    "a tool call without an answer": (
        [{"messages": [user(), CALLING, assistant()]}],
        "message 2.*tool call",
    ),
    "a tool call that the user interrupts": (
        [{"messages": [user(), CALLING, user(), assistant()]}],
        "message 2.*tool call",
    ),
    "one of two tool calls without an answer": (
        [
            {
                "messages": [
                    user(),
                    {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
                    RESULT,
                    assistant(),
                ]
            }
        ],
        "message 2.*tool call",
    ),
    "a think block that stays open": (
        [{"messages": [user(), assistant("<think>\nTwo and")]}],
        "<think>",
    ),
    "tool calls that are a text": (
        [{"messages": [user(), assistant(tool_calls="add")]}],
        "message 2.*a text",
    ),
    "an image": (
        [{"messages": [user([{"type": "image", "url": "a.png"}]), assistant()]}],
        "message 1.*'image'",
    ),
    "a text among messages": ([{"messages": "hello"}], "a text"),
    "tools that are a text": (
        [{"messages": [user(), assistant()], "tools": "add"}],
        "`tools`",
    ),
    "spans that overlap": (
        [
            {
                "messages": [user(), assistant()],
                "spans": [
                    {"name": "a", "start": 0, "end": 3},
                    {"name": "b", "start": 2, "end": 4},
                ],
            }
        ],
        "'a' and 'b' overlap",
    ),
    "a span beyond the response": (
        [{"messages": [user(), assistant()], "spans": [{"name": "a", "start": 0, "end": 99}]}],
        "'a'.*8 characters",
    ),
    "two spans of one name": (
        [
            {
                "messages": [user(), assistant()],
                "spans": [
                    {"name": "a", "start": 0, "end": 1},
                    {"name": "a", "start": 2, "end": 4},
                ],
            }
        ],
        "same name",
    ),
}
GOOD = {
    "messages": [user(), assistant()],
    "tools": [TOOL],
    "spans": [{"name": "all", "start": 0, "end": 8}],
}
BAD_IDS = {
    "labels longer than ids": ({"input_ids": [1, 2], "labels": [1, 2, 3]}, "3 entries.*2"),
    "labels shorter than ids": ({"input_ids": [1, 2], "labels": [1]}, "1 entries.*2"),
    "a label that is another id": ({"input_ids": [1, 2], "labels": [-100, 9]}, "entry 1.*9"),
    "labels without loss": ({"input_ids": [1, 2], "labels": [-100, -100]}, "no token"),
    "loss on the first token alone": ({"input_ids": [1, 2], "labels": [1, -100]}, "no token"),
    "a mask without a one": ({"input_ids": [1, 2], "completion_mask": [0, 0]}, "no token"),
    "a negative id": ({"input_ids": [1, -2]}, "-2"),
    "a null among ids": ({"input_ids": [1, None]}, "null"),
    "no ids": ({"input_ids": None}, "null"),
    "an empty row": ({"input_ids": []}, "no token"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_conversation_that_cannot_be_used_is_kept_with_its_reason(
    case: str, as_json: Callable[..., pl.DataFrame]
) -> None:
    rows, reason = UNUSABLE[case]
    table = as_json([*rows, GOOD])
    (bad, good) = read_examples(table, find_format(table, "data"), "data")
    assert isinstance(bad, Unusable)
    assert re.search(reason, bad.reason)
    assert isinstance(good, Conversation)


@pytest.mark.parametrize("case", BAD_IDS)
def test_token_ids_that_cannot_be_used_are_kept_with_their_reason(
    case: str, as_json: Callable[..., pl.DataFrame]
) -> None:
    row, reason = BAD_IDS[case]
    table = as_json([row, {"input_ids": [1, 2]}])
    bad, good = read_examples(table, find_format(table, "data"), "data")
    assert isinstance(bad, Unusable)
    assert good == TokenIds((1, 2), (True, True))
    assert re.search(reason, bad.reason)


def test_a_column_with_messages_in_half_of_its_rows_names_the_others(
    as_json: Callable[..., pl.DataFrame],
) -> None:
    texts = {"prompt": ASK, "completion": SAY}
    messages = {"prompt": [user()], "completion": [assistant()]}
    for rows, usable in (
        ([texts, messages], [False, True]),
        ([texts, texts, messages], [True, True, False]),
    ):
        table = as_json(rows)
        examples = read_examples(table, find_format(table, "data"), "data")
        assert [not isinstance(example, Unusable) for example in examples] == usable


def test_a_file_without_a_usable_row_is_refused_with_the_first_reason(
    as_json: Callable[..., pl.DataFrame],
) -> None:
    table = as_json([{"messages": [user()]}, {"messages": []}])
    with pytest.raises(DataError, match=r"data\.jsonl.*`messages`.*row 0.*ends.*--columns"):
        read_examples(table, find_format(table, "data.jsonl"), "data.jsonl")


def test_a_response_template_is_refused_for_other_formats(
    as_json: Callable[..., pl.DataFrame],
) -> None:
    table = as_json([{"question": ASK, "answer": SAY}])
    with pytest.raises(DataError, match="--response-template"):
        read_examples(table, find_format(table, "data"), "data", response_template="A:")


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    str.strip
)
arguments = st.one_of(
    texts, st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9), min_size=1)
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": texts,
        "name": texts,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"function": st.fixed_dictionaries({"name": texts, "arguments": arguments})}
            ),
            min_size=1,
            max_size=2,
        ),
    },
)
turns = st.builds(
    lambda said, role, more: {"role": role, "content": said, **more},
    texts,
    st.sampled_from(["user", "assistant", "critic"]),
    extras,
)
conversations = st.lists(turns, min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(conversations, min_size=1, max_size=4))
def test_messages_read_the_same_from_json_parquet_and_objects(chats: list[list[Message]]) -> None:
    # One row is certainly usable, so that no file is refused.
    rows = [{"messages": chat} for chat in [*chats, [user(), assistant()]]]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    table = parse_table(lines, "data.jsonl")
    from_json = read_examples(table, find_format(table, "data"), "data")
    assert from_json == to_examples(rows) == to_examples([row["messages"] for row in rows])
    for example, row in zip(from_json, rows, strict=True):
        if isinstance(example, Conversation):
            assert list(example.messages) == row["messages"]
    if table.schema["messages"] != pl.String:
        # Parquet has no columns of mixed kinds.
        packed = parse_table(_parquet(table), "data.parquet")
        assert read_examples(packed, find_format(packed, "data"), "data") == from_json
    texts_of_json = pl.DataFrame({"messages": [json.dumps(row["messages"]) for row in rows]})
    packed = parse_table(_parquet(texts_of_json), "data.parquet")
    assert read_examples(packed, find_format(packed, "data"), "data") == from_json


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
