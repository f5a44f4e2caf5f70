"""The responses that a model wrote as conversations: messages, and where they come from."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from gradpipe.conversations.generated_text import divide_generated
from gradpipe.conversations.messages import content_text
from gradpipe.responses.provenance import PROVENANCE_SCHEMA, THE_SOURCE
from gradpipe.responses.thinking import divided_answers

#: The columns beside ``messages``. ``gold_answer`` is the item's. ``request_messages`` is what the
#: model was sent, in JSON; null for a call that is not known.
BESIDE_MESSAGES = pl.Schema(
    {
        "benchmark": pl.String(),
        "item_id": pl.String(),
        "style": pl.String(),
        "gold_answer": pl.String(),
        "request_messages": pl.String(),
        **{name: dtype for name, dtype in PROVENANCE_SCHEMA.items() if name != "item_id"},
    }
)


def message_schema(with_thinking: bool) -> pl.Schema:
    """The columns of ``message_rows``."""
    fields = ("role", "content", *(("reasoning_content",) if with_thinking else ()))
    message = pl.Struct(dict.fromkeys(fields, pl.String()))
    return pl.Schema({"messages": pl.List(message), **BESIDE_MESSAGES})


def message_rows(
    items: pl.DataFrame,
    provenance: pl.DataFrame,
    answers: pl.DataFrame,
    *,
    with_thinking: bool = False,
) -> pl.DataFrame:
    """One row per call that wrote a response (``message_schema``), in the order of the responses.

    ``items`` is ITEM_SCHEMA, ``provenance`` PROVENANCE_SCHEMA with ``text``, and ``answers``
    (CALL_SCHEMA) has their calls. The messages are the item's instruction, the messages before it
    and the answer; with ``with_thinking``, the last one has the thinking, if there is any, in
    ``reasoning_content``. A call that the styles ``thinking`` and ``answer_only`` share is one row.
    """
    schema = message_schema(with_thinking)
    calls = divided_answers(answers.unique("key", keep="first")).select(
        "key", "reasoning", pl.col("text").alias("answer_text"), request_messages="messages"
    )
    of_items = items.select(
        "item_id", "benchmark", "instruction", "context", gold_answer=pl.col("answer")
    )
    rows = (
        _each_call_once(provenance.filter(pl.col("written_by") != THE_SOURCE), with_thinking)
        .join(of_items, on="item_id", maintain_order="left")
        .join(calls, on="key", how="left", maintain_order="left")
    )
    messages = [_messages(row, with_thinking) for row in rows.iter_rows(named=True)]
    return rows.with_columns(pl.Series("messages", messages, dtype=schema["messages"])).select(
        list(schema)
    )


def _each_call_once(provenance: pl.DataFrame, with_thinking: bool) -> pl.DataFrame:
    """The responses without repeated calls of an item, kept in the style that is written out."""
    kept = "thinking" if with_thinking else "answer_only"
    return (
        provenance.with_row_index("place")
        .sort(pl.col("style") != kept, maintain_order=True)
        # A response without a known call is itself alone.
        .with_columns(pl.coalesce("key", pl.col("place").cast(pl.String)).alias("call"))
        .unique(["item_id", "call"], keep="first", maintain_order=True)
        .sort("place")
        .drop("place", "call")
    )


def _messages(row: dict[str, Any], with_thinking: bool) -> list[dict[str, str | None]]:
    """The messages of one response."""
    divided = divide_generated(row["text"] or "")
    known = row["answer_text"] is not None
    answer = row["answer_text"] if known else divided.answer
    thinking = row["reasoning"] if known else divided.reasoning
    messages = [*_before(row["instruction"], row["context"]), ("assistant", answer, thinking)]
    return [
        {"role": role, "content": content}
        | ({"reasoning_content": thoughts} if with_thinking else {})
        for role, content, thoughts in messages
    ]


def _before(instruction: str | None, context: str | None) -> list[tuple[str, str, None]]:
    """What precedes a response: the messages of a conversation, or the instruction."""
    earlier = json.loads(context).get("messages") if context else None
    if earlier:
        return [(message["role"], content_text(message), None) for message in earlier]
    return [("user", instruction or "", None)]
