"""Rows of every format of training data have the tokens and labels that TRL gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.conversations.formats import find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import make_protocol
from tests.gradients.chat_template_samples import CHAT_TEMPLATES, MARKED, QWEN_2_5, tokenizer_for
from tests.gradients.trl_twin import trl_rows

USER, SAID = {"role": "user", "content": "Add 2 and 2."}, {"role": "assistant", "content": "4"}
SYSTEM = {"role": "system", "content": "Be brief."}
PAIR = {"prompt": [USER], "completion": [SAID]}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 2}}}],
}
ANSWERED = [USER, CALL, {"role": "tool", "content": "4"}, SAID]
BETTER = {"chosen": [SAID], "rejected": [{**SAID, "content": "5"}]}
WHOLE = {"chosen": [USER, SAID], "rejected": [USER, {**SAID, "content": "5"}]}
IDS = list(range(40, 52))

#: A row of data, and the same as TRL takes it: equal, or said in its own format.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "messages": ({"messages": [SYSTEM, USER, SAID]}, {"messages": [SYSTEM, USER, SAID]}),
    "messages with tools": (
        {"messages": ANSWERED, "tools": TOOLS},
        {"messages": ANSWERED, "tools": TOOLS},
    ),
    "messages with settings": (
        {"messages": [USER, SAID], "chat_template_kwargs": {"enable_thinking": False}},
        {"messages": [USER, SAID], "chat_template_kwargs": {"enable_thinking": False}},
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"messages": [{**USER, "content": "Hi"}, {**SAID, "content": "Hello"}]},
    ),
    "prompt and completion, messages": (PAIR, PAIR),
    "prompt and completion, texts": ({"prompt": "2 + 2 =", "completion": " 4"},) * 2,
    "prompt and response": (
        {"prompt": "2 + 2 =", "response": " 4"},
        {"prompt": "2 + 2 =", "completion": " 4"},
    ),
    "preferences": ({"prompt": [USER], **BETTER}, PAIR),
    "whole preferences": (WHOLE, PAIR),
    "instruction, input and output": (
        {"instruction": "Add.", "input": "2 and 2", "output": "4"},
        {"prompt": [{**USER, "content": "Add.\n2 and 2"}], "completion": [SAID]},
    ),
    "question and answer": ({"question": USER["content"], "answer": "4"}, PAIR),
    "problem and solution": ({"problem": USER["content"], "solution": "4"}, PAIR),
    "a system column": (
        {"system": "Be brief.", "prompt": USER["content"], "response": "4"},
        {"prompt": [SYSTEM, USER], "completion": [SAID]},
    ),
    "text": ({"text": "2 + 2 = 4"}, {"text": "2 + 2 = 4"}),
    "token ids and labels": (
        {"input_ids": IDS, "labels": [-100] * 9 + IDS[9:]},
        {"input_ids": IDS, "labels": [-100] * 9 + IDS[9:]},
    ),
    "token ids and a mask": (
        {"input_ids": IDS, "completion_mask": [0] * 5 + [1] * 7},
        {"input_ids": IDS, "completion_mask": [0] * 5 + [1] * 7},
    ),
}


def ours(tokenizer: Any, row: dict[str, Any], loss_on: str) -> tuple[list[int], list[bool]]:
    table = pl.DataFrame([row])
    [example] = read_examples(table, find_format(table, "data"), "data")
    encoded = Encoder(tokenizer, make_protocol("training", loss_on=loss_on)).encode(example)
    assert encoded.reason is None
    return encoded.ids, [place in encoded.positions for place in range(len(encoded.ids))]


@pytest.mark.parametrize("name", list(ROWS))
def test_a_row_of_each_format_has_trls_tokens_and_labels(name: str, tmp_path: Path) -> None:
    row, theirs = ROWS[name]
    tokenizer = tokenizer_for(QWEN_2_5 if "tools" in name else CHAT_TEMPLATES["qwen-3"])
    divided = "prompt" in theirs or "input_ids" in theirs
    [(ids, loss)] = trl_rows(tokenizer, [theirs], str(tmp_path), completion_only=divided)
    assert ours(tokenizer, row, "completion" if divided else "all") == (ids, [False, *loss[1:]])


@pytest.mark.parametrize("name", ["messages", "ShareGPT", "prompt and completion, messages"])
def test_the_assistants_text_has_trls_labels_too(name: str, tmp_path: Path) -> None:
    row, theirs = ROWS[name]
    tokenizer = tokenizer_for(MARKED)
    [(ids, loss)] = trl_rows(tokenizer, [theirs], str(tmp_path), assistant_only=True)
    assert ours(tokenizer, row, "assistant") == (ids, loss)
