"""Responses that a model wrote, beside those that an item's source brought; both are judged."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from gradpipe.benchmarks.items import ITEM_SCHEMA, ready_made
from gradpipe.responses.gates import CountTokens, judge_responses, summarise_verdicts
from gradpipe.responses.length_matched import matched_responses
from gradpipe.styles import MATCHED_STYLES

#: Part of every examples table's version: raise it when the gates judge otherwise.
GATES_VERSION = "1"

Mismatches = Literal["exclude", "keep"]

#: One row a response that a model wrote for an item.
WRITTEN_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "style": pl.String(),
        "text": pl.String(),
        "finish_reason": pl.String(),
    }
)
#: One row a response that the gates have looked at; ``by_model`` is false for a source's own.
QUALITY_SCHEMA = pl.Schema(
    {
        "by_model": pl.Boolean(),
        "item_id": pl.String(),
        "style": pl.String(),
        "verdict": pl.String(),
        "answer": pl.String(),
        "found_answer": pl.String(),
        "text": pl.String(),
    }
)


def judge_written(
    items: pl.DataFrame, written: pl.DataFrame, count_tokens: CountTokens | None
) -> pl.DataFrame:
    """The gates' verdict (QUALITY_SCHEMA) on each response that a model wrote for one of ``items``.

    ``written`` is WRITTEN_SCHEMA, in any order of columns.
    """
    of_items = written.join(
        items.select("item_id", "family", "answer", "instruction"),
        on="item_id",
        maintain_order="left",
    )
    judged = judge_responses(of_items, count_tokens).with_columns(by_model=pl.lit(True))
    return judged.select(list(QUALITY_SCHEMA)).cast(QUALITY_SCHEMA)


def judge_ready_made(items: pl.DataFrame) -> pl.DataFrame:
    """The gates' verdict (QUALITY_SCHEMA) on the reasoning that the items' source brought.

    For information: what a source has is used as it is.
    """
    ready = _responses(items.filter(pl.col("family") != "knowledge")).filter(
        pl.col("relevance") == "correct", pl.col("style") != "none"
    )
    unknown = pl.lit(None, dtype=pl.String)
    judged = judge_written(items, ready.with_columns(finish_reason=unknown), None)
    return judged.with_columns(by_model=pl.lit(False))


def with_written(
    items: pl.DataFrame, quality: pl.DataFrame, mismatches: Mismatches
) -> pl.DataFrame:
    """``items`` with what a model wrote as their correct responses, in place of the source's own.

    ``quality`` is QUALITY_SCHEMA; what did not pass is left out unless ``mismatches`` keeps it. An
    item of reasoning without a response ``none`` gets its bare answer as one.
    """
    passed = pl.col("verdict") == "passed"
    taken = quality if mismatches == "keep" else quality.filter(passed)
    # A style that was written for an item replaces the source's, even where it did not pass.
    return _with_responses(_with_bare_answers(items), taken, replacing=quality)


def quality_of(judged: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """How many responses of each benchmark, writer and style got which verdict, and their share.

    ``judged`` maps a benchmark to its QUALITY_SCHEMA.
    """
    parts = [
        summarise_verdicts(frame.filter(pl.col("by_model") == by_model)).select(
            pl.lit(benchmark).alias("benchmark"),
            pl.lit("a model" if by_model else "its source").alias("written_by"),
            "style",
            "verdict",
            "responses",
            "rate",
        )
        for benchmark, frame in judged.items()
        for by_model in (False, True)
    ]
    return pl.concat(parts)


def with_matched(
    items: pl.DataFrame, styles: list[str], count_tokens: CountTokens | None
) -> pl.DataFrame:
    """``items`` with the length-matched ones among ``styles``, where they have none."""
    correct = _responses(items).filter(pl.col("relevance") == "correct")
    for style in MATCHED_STYLES:
        if style in styles and style not in correct["style"]:
            made = matched_responses(correct, style, count_tokens)
            items = _with_responses(items, made.with_columns(style=pl.lit(style)))
    return items


def _with_bare_answers(items: pl.DataFrame) -> pl.DataFrame:
    there = _responses(items).filter(pl.col("style") == "none")
    bare = items.filter(
        pl.col("family") != "knowledge",
        pl.col("answer").is_not_null(),
        ~pl.col("item_id").is_in(there["item_id"].implode()),
    )
    return _with_responses(
        items, bare.select("item_id", pl.col("answer").alias("text"), style=pl.lit("none"))
    )


def _responses(items: pl.DataFrame) -> pl.DataFrame:
    return ready_made(items).select("item_id", "style", "relevance", "text")


def _with_responses(
    items: pl.DataFrame, added: pl.DataFrame, replacing: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Correct responses (item_id, style, text) added to each item's list."""
    kept = _responses(items)
    if replacing is not None:
        kept = kept.join(
            replacing.select("item_id", "style", relevance=pl.lit("correct")),
            on=["item_id", "style", "relevance"],
            how="anti",
            maintain_order="left",
        )
    texts = ["style", "relevance", "text"]
    every = pl.concat(
        [
            kept.select("item_id", *texts),
            added.with_columns(relevance=pl.lit("correct")).select("item_id", *texts),
        ]
    )
    lists = every.group_by("item_id", maintain_order=True).agg(pl.struct(texts).alias("responses"))
    return (
        items.drop("responses")
        .join(lists, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("responses").fill_null([]))
        .match_to_schema(ITEM_SCHEMA)
    )
