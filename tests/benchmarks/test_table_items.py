"""Tables in a format of training data become items with the responses that they give."""

import json
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.table_items import count_unusable
from gradpipe.errors import DataError
from gradpipe.responses.build import build_examples

USER = {"role": "user", "content": "How many?"}
SYSTEM = {"role": "system", "content": "Be short."}
ANSWER = {"role": "assistant", "content": "Two."}


@pytest.fixture
def items_of(write: Any) -> Any:
    """The items of a JSONL file with these rows."""

    def read(rows: list[dict[str, Any]], **settings: Any) -> pl.DataFrame:
        path = write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return read_items(BenchmarkConfig(name="own", source="files", path=str(path), **settings))

    return read


def responses(items: pl.DataFrame) -> list[dict[tuple[str, str], str]]:
    rows = items["responses"].to_list()
    return [{(one["style"], one["relevance"]): one["text"] for one in row} for row in rows]


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"input": "How many?", "none": "Two."}, {"instruction": "input"}),
        ({"instruction": "How many?", "input": "Two."}, {"responses": {"none": "input"}}),
        (
            {"instruction": "How many?", "none": "Two.", "input": "2"},
            {"answer": "input"},
        ),
        ({"answer": "How many?", "none": "Two."}, {"instruction": "answer"}),
    ],
)
def test_a_column_with_one_role_has_no_other(
    row: dict[str, Any], columns: dict[str, Any], items_of: Any
) -> None:
    items = items_of([row], columns=columns)
    assert items["instruction"].to_list() == ["How many?"]
    assert items["answer"].to_list() == (["2"] if "answer" in columns else [None])
    assert responses(items) == [{("none", "correct"): "Two."}]


def test_a_system_message_in_the_column_input_is_no_input(items_of: Any) -> None:
    row = {"instruction": "How many?", "input": "Be short.", "output": "Two."}
    items = items_of([row], columns={"system": "input"})
    assert items["instruction"].to_list() == ["How many?"]
    assert json.loads(items["context"][0]) == {"messages": [SYSTEM, USER]}


def test_a_response_may_be_the_gold_answer_too(items_of: Any) -> None:
    row = {"instruction": "How many?", "answer": "Two."}
    items = items_of([row], columns={"responses": {"none": "answer"}})
    assert (items["answer"][0], responses(items)) == ("Two.", [{("none", "correct"): "Two."}])


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, ANSWER]},
        {
            "conversations": [
                {"from": "human", "value": "How many?"},
                {"from": "gpt", "value": "Two."},
            ]
        },
        {"prompt": [USER], "completion": [ANSWER]},
        {"instruction": "How many?", "input": "", "output": "Two."},
        {"question": "How many?", "answer": "Two."},
        {"problem": "How many?", "solution": "Two."},
    ],
    ids="-".join,
)
def test_every_format_gives_the_same_pair(row: dict[str, Any], items_of: Any) -> None:
    items = items_of([row])
    assert items.schema == ITEM_SCHEMA
    assert items["instruction"].to_list() == ["How many?"]
    assert responses(items) == [{("given", "correct"): "Two."}]
    assert items["context"].to_list() == [None]


def test_what_precedes_the_response_is_the_items_context(items_of: Any) -> None:
    items = items_of([{"messages": [SYSTEM, USER, ANSWER], "answer": "2"}])
    assert json.loads(items["context"][0]) == {"messages": [SYSTEM, USER]}
    assert (items["instruction"][0], items["answer"][0]) == ("How many?", "2")


def test_rejected_responses_have_a_relevance_of_their_own(items_of: Any) -> None:
    rows = [
        {"prompt": "How many?", "chosen": "Two.", "rejected": "Ten."},
        {"prompt": "And now?", "chosen": "Three.", "rejected": None},
    ]
    given = [{("given", "correct"): "Two.", ("given", "rejected"): "Ten."}]
    given += [{("given", "correct"): "Three."}]
    assert responses(items_of(rows)) == given
    renamed = [{"p": r["prompt"], "good": r["chosen"], "bad": r["rejected"]} for r in rows]
    columns = {"prompt": "p", "chosen": "good", "rejected": "bad"}
    assert responses(items_of(renamed, columns=columns)) == given


def test_a_rejected_conversation_counts_only_after_the_same_messages(items_of: Any) -> None:
    wrong = {"role": "assistant", "content": "Ten."}
    turn = {"role": "user", "content": "Sure?"}
    rows = [
        {"chosen": [USER, ANSWER], "rejected": [USER, wrong]},
        {"chosen": [USER, ANSWER, turn, ANSWER], "rejected": [USER, wrong, turn, wrong]},
    ]
    first, second = responses(items_of(rows))
    assert first == {("given", "correct"): "Two.", ("given", "rejected"): "Ten."}
    assert second == {("given", "correct"): "Two."}


def test_a_row_that_cannot_be_used_stays_with_its_reason(items_of: Any) -> None:
    items = items_of([{"messages": [USER]}, {"messages": [USER, ANSWER]}])
    assert items["index"].to_list() == [0, 1]
    assert count_unusable(items) == 1
    assert "ends with a message of the role 'user'" in json.loads(items["context"][0])["unusable"]
    assert responses(items)[1] == {("given", "correct"): "Two."}


@pytest.mark.parametrize("irrelevant", ["derangement", "sentence_shuffle"])
def test_an_unusable_row_gives_its_text_to_no_other_item(irrelevant: Any, items_of: Any) -> None:
    rows = [{"messages": [USER]}]
    for n in range(4):
        answer = {"role": "assistant", "content": f"There are {n}. That is {n} plus zero."}
        rows.append({"messages": [{"role": "user", "content": f"Question {n}?"}, answer]})
    both = ["correct", "irrelevant"]
    examples = build_examples(items_of(rows), None, both, irrelevant, seed=0)
    drawn = examples.filter(pl.col("relevance") == "irrelevant")
    assert (drawn["response"].str.len_chars() > 0).all()


def test_whole_texts_are_divided_by_a_response_template(items_of: Any) -> None:
    rows = [{"text": "### Q: How many? ### A: Two."}]
    items = items_of(rows, response_template="### A:")
    assert items["instruction"].to_list() == ["### Q: How many? ### A:"]
    assert responses(items) == [{("given", "correct"): " Two."}]
    assert json.loads(items["context"][0]) == {"text": True}


def test_columns_of_styles_and_of_answers_come_first(items_of: Any) -> None:
    styled = items_of([{"instruction": "How many?", "output": "Two.", "none": "2"}])
    assert responses(styled) == [{("none", "correct"): "2"}]
    asked = items_of([{"instruction": "How many?", "output": "Two.", "answer": "2"}])
    assert responses(asked) == [{}]
    named = items_of(
        [{"instruction": "How many?", "output": "Two.", "answer": "2"}],
        columns={"output": "output"},
    )
    assert responses(named) == [{("given", "correct"): "Two."}]
    assert named["answer"].to_list() == ["2"]


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        ({"input_ids": [1, 2], "labels": [-100, 2]}, {}, "token ids.*gradpipe extract"),
        ({"messages": [USER]}, {}, "No row of .* can be used"),
        ({"chat": [USER, ANSWER]}, {"columns": {"messages": "caht"}}, "did you mean 'chat'"),
        (
            {"messages": [USER, ANSWER]},
            {"columns": {"messages": "messages", "responses": {"none": "messages"}}},
            "names `responses` and `messages`",
        ),
        ({"messages": [USER, ANSWER]}, {"response_template": "A:"}, "response template"),
    ],
)
def test_what_cannot_be_an_item_is_refused_in_a_sentence(
    row: dict[str, Any], settings: dict[str, Any], message: str, items_of: Any
) -> None:
    with pytest.raises(DataError, match=message):
        items_of([row], **settings)


def test_settings_of_later_versions_change_no_version_until_they_are_set(write: Any) -> None:
    path = str(write("rows.jsonl", '{"instruction": "One?", "none": "1"}\n'))
    plain = BenchmarkConfig(name="own", source="files", path=path)
    # What an earlier version hashed.
    assert plain.columns.model_dump() == {
        "instruction": "instruction",
        "input": None,
        "answer": None,
        "rationale": None,
        "responses": {},
    }
    assert not {"config", "response_template"} & set(plain.model_dump())
    named = BenchmarkConfig(name="own", source="files", path=path, columns={"text": "t"})
    assert source_version(named) != source_version(plain)


def test_a_hub_path_of_the_source_files_names_the_right_source() -> None:
    own = BenchmarkConfig(name="own", source="files", path="hub:org/name")
    with pytest.raises(DataError, match="`source: hub` and `path: org/name`"):
        read_items(own)
