"""Responses with thinking: from the calls of a generator, or from the rationale of a source.

The styles ``thinking`` and ``answer_only`` are one response, with and without its think block.
Without a generator, a source's rationale is the thinking, and the item's bare answer the answer.
"""

import polars as pl

from gradpipe.benchmarks.items import ready_made
from gradpipe.conversations.generated_text import divide_generated
from gradpipe.conversations.think_blocks import join_thinking
from gradpipe.styles import THINKING_STYLES

#: The source's responses that are a rationale, the first that an item has.
RATIONALES = ("detailed", "simplified")


def written_responses(calls: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The responses of planned calls: their items, styles and texts, in the order of ``calls``.

    ``calls`` has ``key``, ``item_id`` and ``style``; ``answers`` has ``key``, ``text``,
    ``finish_reason`` and ``reasoning``. Returns ``item_id``, ``style``, ``text``,
    ``finish_reason``, ``reasoning`` and ``key``. The text of ``thinking`` is the think block and
    the answer; a block that is not closed says that the response ended within it. Every other style
    has the answer alone.
    """
    divided = divided_answers(answers)
    joined = [_joined(*row) for row in divided.select("reasoning", "text").iter_rows()]
    divided = divided.with_columns(pl.Series("joined", joined, dtype=pl.String))
    return (
        calls.select("key", "item_id", "style")
        .join(divided, on="key", maintain_order="left")
        .select(
            "item_id",
            "style",
            pl.when(pl.col("style") == "thinking").then("joined").otherwise("text").alias("text"),
            "finish_reason",
            "reasoning",
            "key",
        )
    )


def divided_answers(answers: pl.DataFrame) -> pl.DataFrame:
    """Divide answers that were stored with their think block: ``text`` is the answer alone.

    ``answers`` has ``text`` and ``reasoning``, and keeps its other columns.
    """
    parts = [
        divide_generated(text) if reasoning is None else (reasoning, text)
        for text, reasoning in answers.select("text", "reasoning").iter_rows()
    ]
    return answers.with_columns(
        pl.Series("reasoning", [part[0] for part in parts], dtype=pl.String),
        pl.Series("text", [part[1] for part in parts], dtype=pl.String),
    )


def _joined(reasoning: str | None, answer: str) -> str:
    if reasoning is None:
        return answer
    return join_thinking(reasoning, answer) if answer.strip() else f"<think>\n{reasoning}"


def rationale_responses(items: pl.DataFrame, styles: list[str]) -> pl.DataFrame:
    """A source's rationale as thinking: ``item_id``, ``style``, ``text``, by item.

    ``items`` is ITEM_SCHEMA; ``styles`` are those of THINKING_STYLES to make. The thinking is the
    source's ``detailed`` response, else its ``simplified`` one, else its rationale; the answer is
    the item's bare answer. Items without one of the two, and items that have a response of the
    style, are skipped.
    """
    ready = ready_made(items).filter(pl.col("relevance") == "correct")
    rationales = [
        ready.filter(pl.col("style") == style)
        .unique("item_id", keep="first")
        .select("item_id", pl.col("text").alias(f"{style}_text"))
        for style in RATIONALES
    ]
    table = items.filter(pl.col("family") != "knowledge", pl.col("answer").is_not_null())
    for texts in rationales:
        table = table.join(texts, on="item_id", how="left", maintain_order="left")
    thoughts = table.select(
        "item_id",
        "answer",
        pl.coalesce(*(f"{style}_text" for style in RATIONALES), "rationale").alias("rationale"),
    ).filter(pl.col("rationale").str.strip_chars() != "")
    joined = [
        # The rationale of a thinking model has a think block of its own.
        join_thinking(divide_generated(rationale).reasoning or rationale, answer)
        for rationale, answer in thoughts.select("rationale", "answer").iter_rows()
    ]
    made = {"thinking": pl.Series(joined, dtype=pl.String), "answer_only": thoughts["answer"]}
    parts = [
        thoughts.select("item_id", pl.lit(style).alias("style"), made[style].alias("text")).join(
            ready.filter(pl.col("style") == style), on="item_id", how="anti", maintain_order="left"
        )
        for style in THINKING_STYLES
        if style in styles
    ]
    nothing = pl.DataFrame(schema={"item_id": pl.String, "style": pl.String, "text": pl.String})
    return pl.concat([nothing, *parts])
