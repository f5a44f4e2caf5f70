"""Examples are read from mappings, tuples, lists of messages and tables."""

import math
from typing import Any

import polars as pl
import pytest

from gradpipe.conversations.examples import Conversation, Pair, PlainText, TokenIds, Unusable
from gradpipe.errors import DataError
from gradpipe.standalone.user_examples import examples_of_table, to_examples, to_pair


@pytest.mark.parametrize(
    "example",
    [
        ("Add.\n1 2", "3"),
        ["Add.\n1 2", "3"],
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "Add.\n1 2", "input": "", "output": "3"},
        {"instruction": "Add.\n1 2", "input": None, "output": "3", "source": "unused"},
        {"instruction": "Add.\n1 2", "output": 3},
        {"instruction": "Add.", "input": "1 2", "output": "3", "weight": math.nan},
        {"instruction": "Add.\n1 2", "input": math.nan, "output": "3"},
    ],
    ids=str,
)
def test_whatever_form_a_pair_has_it_is_the_same_pair(example: Any) -> None:
    assert to_pair(example) == Pair("Add.\n1 2", "3")


@pytest.mark.parametrize(
    ("example", "missing"),
    [
        ({"instruction": "Add."}, "output"),
        ({"output": "3"}, "instruction"),
        ({"instruction": None, "output": None}, "instruction.* output"),
        # pandas writes a missing value as NaN.
        ({"instruction": "Add.", "output": math.nan}, "output"),
        (("Add.", None), "output"),
    ],
)
def test_a_pair_without_a_side_is_refused_by_its_number(example: Any, missing: str) -> None:
    with pytest.raises(DataError, match=f"Example 7 .*{missing}"):
        to_pair(example, 7)


@pytest.mark.parametrize("example", [("Add.",), ("Add.", "1", "2"), 7, None], ids=repr)
def test_an_invalid_example_is_unusable_and_alone_it_is_refused(example: Any) -> None:
    pair, invalid = to_examples([("Add.", "3"), example])
    assert pair == Pair("Add.", "3")
    assert isinstance(invalid, Unusable)
    assert type(example).__name__ in invalid.reason
    with pytest.raises(DataError, match="example 0"):
        to_examples([example])
    with pytest.raises(DataError, match="Example 1 .*instruction"):
        to_pair(example, 1)


def test_elements_of_several_kinds_are_read_each_as_what_it_is() -> None:
    found = to_examples(
        ["One.", ("a", "b"), CHAT, {"prompt": "a", "completion": "b"}, ("a", None), "", "Two."]
    )
    assert found == [
        PlainText("One."),
        Pair("a", "b"),
        Conversation(tuple(CHAT)),
        Pair("a", "b", joined=True),
        Pair("a", None),
        Unusable("the text is empty"),
        PlainText("Two."),
    ]
    divided = to_examples(["Q: a A: b"], response_template="A: ")
    assert divided == [PlainText("Q: a A: b", 8)]


def test_a_frame_and_its_rows_give_the_same_pairs() -> None:
    frame = pl.DataFrame(
        {"instruction": ["a", "b", "c"], "input": ["x", " ", None], "output": ["1", "2", "3"]}
    )
    expected = [Pair("a\nx", "1"), Pair("b", "2"), Pair("c", "3")]
    assert to_examples(frame) == to_examples(frame.to_dicts()) == expected


def test_a_table_of_numbers_is_text_and_a_missing_one_is_none() -> None:
    table = pl.DataFrame({"instruction": [1, 2], "output": [0.5, math.nan]})
    assert examples_of_table(table, "data.parquet") == [Pair("1", "0.5"), Pair("2", None)]


def test_a_table_gives_its_rows_in_order() -> None:
    table = pl.DataFrame({"output": ["b", ""], "instruction": ["a", "c"], "input": ["x", None]})
    assert examples_of_table(table, "data.csv") == [Pair("a\nx", "b"), Pair("c", "")]


def test_a_row_of_a_table_may_lack_a_side() -> None:
    table = pl.DataFrame(
        {"instruction": ["a", None, "c"], "input": ["x", "y", "z"], "output": [None, "b", "d"]}
    )
    pairs = examples_of_table(table, "data.json")
    assert pairs == [Pair("a\nx", None), Pair(None, "b"), Pair("c\nz", "d")]


@pytest.mark.parametrize("value", [["b"], {"text": "b"}, b"b"], ids=["list", "object", "bytes"])
def test_a_column_that_holds_no_texts_is_refused(value: Any) -> None:
    table = pl.DataFrame({"instruction": ["a"], "output": [value]})
    with pytest.raises(DataError, match=r"'output' .*data\.parquet"):
        examples_of_table(table, "data.parquet")


def test_a_table_without_a_needed_column_is_refused_with_the_nearest() -> None:
    table = pl.DataFrame({"instruction": ["a"], "outputs": ["b"]})
    with pytest.raises(DataError, match=r"data\.csv .*'output'.*'outputs'"):
        examples_of_table(table, "data.csv")


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.csv"):
        examples_of_table(pl.DataFrame(schema={"instruction": pl.String}), "data.csv")


def test_every_kind_of_nan_is_a_missing_text() -> None:
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    for missing in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT):
        pair = to_pair({"instruction": "a", "input": missing, "output": "b"})
        assert pair.instruction == "a"
        with pytest.raises(DataError, match="has no output"):
            to_pair(("a", missing))


CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize(
    "examples",
    [
        [CHAT, CHAT],
        [tuple(CHAT), CHAT],
        [{"messages": CHAT}, CHAT],
        [{"messages": CHAT, "score": math.nan}, {"messages": CHAT, "tags": ["x"]}],
        [Conversation(tuple(CHAT)), Conversation(tuple(CHAT))],
        pl.DataFrame({"messages": [CHAT, CHAT]}),
    ],
    ids=["lists", "a tuple", "mixed", "mappings", "examples", "frame"],
)
def test_messages_are_given_as_lists_mappings_examples_or_a_frame(examples: Any) -> None:
    assert to_examples(examples) == [Conversation(tuple(CHAT))] * 2


def test_numbers_of_other_libraries_in_mappings_are_numbers() -> None:
    np = pytest.importorskip("numpy")
    row = {"input_ids": np.array([1, 2]), "labels": np.array([-100, 2])}
    assert to_examples([row]) == [TokenIds((1, 2), (False, True))]


def test_columns_are_named_for_mappings_and_frames_alike() -> None:
    rows = [{"q": "a", "good": "b", "bad": "c"}]
    columns = {"prompt": "q", "completion": "bad"}
    expected = [Pair("a", "c", joined=True)]
    assert to_examples(rows, columns) == to_examples(pl.DataFrame(rows), columns) == expected


def test_the_format_that_was_found_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="gradpipe"):
        examples_of_table(pl.DataFrame({"chat": [CHAT]}), "data.jsonl", {"messages": "chat"})
    assert caplog.messages == ["data.jsonl has messages in the column `chat`."]
