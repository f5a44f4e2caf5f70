"""Combine model-written responses with those from an item's source; both are judged."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from gradpipe.benchmarks.items import ITEM_SCHEMA, ready_made
from gradpipe.benchmarks.samples import sample_number
from gradpipe.responses.gates import judge_responses, summarize_verdicts
from gradpipe.responses.length_matched import cut_responses, matched_responses
from gradpipe.responses.thinking import rationale_responses
from gradpipe.responses.token_counts import CountTokens
from gradpipe.styles import MATCHED_STYLES, is_own_style, uncut_style

#: Part of every examples table's version: increase it when the gates' verdicts change.
GATES_VERSION = "2"

Mismatches = Literal["exclude", "keep"]

#: One row per response that a model wrote for an item. ``reasoning`` is the thinking of its call,
#: null for a call without it; ``key`` is the key of its call.
WRITTEN_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "style": pl.String(),
        "text": pl.String(),
        "finish_reason": pl.String(),
        "reasoning": pl.String(),
        "key": pl.String(),
    }
)
#: Where a study has a judge: by whom the verdict is, RULES or the judge's model, and the beginning
#: of the judge's reply, null if it was not asked or did not reply. See ``second_opinion``.
RULES = "rules"
OPINION_SCHEMA = pl.Schema({"judged_by": pl.String(), "judge_reply": pl.String()})
#: One row per response that the gates judged; ``by_model`` is false for a source's own response,
#: whose ``key``, that of a call, is null. So it is in tables of earlier versions. The columns of
#: OPINION_SCHEMA are null without a judge.
QUALITY_SCHEMA = pl.Schema(
    {
        "by_model": pl.Boolean(),
        "item_id": pl.String(),
        "style": pl.String(),
        "verdict": pl.String(),
        "answer": pl.String(),
        "found_answer": pl.String(),
        "text": pl.String(),
        "key": pl.String(),
        **OPINION_SCHEMA,
    }
)


def judge_written(
    items: pl.DataFrame, written: pl.DataFrame, count_tokens: CountTokens | None
) -> pl.DataFrame:
    """Judge each response that a model wrote for one of ``items`` (QUALITY_SCHEMA).

    ``written`` is WRITTEN_SCHEMA, with its columns in any order. An ``answer_only`` response of a
    call without thinking has the verdict ``no_thinking``, as the ``thinking`` one has.
    """
    judged = _judged(items, written, count_tokens)
    if "reasoning" not in judged.columns:
        return _quality(judged, by_model=True)
    bare = (pl.col("style") == "answer_only") & pl.col("reasoning").is_null()
    verdict = pl.when(bare).then(pl.lit("no_thinking")).otherwise("verdict").alias("verdict")
    return _quality(judged.with_columns(verdict), by_model=True)


def judge_ready_made(items: pl.DataFrame) -> pl.DataFrame:
    """Judge the reasoning that the items' source provides (QUALITY_SCHEMA).

    The verdicts are informational: a source's responses are used unchanged.
    """
    ready = _responses(items.filter(pl.col("family") != "knowledge")).filter(
        pl.col("relevance") == "correct", pl.col("style") != "none"
    )
    unknown = pl.lit(None, dtype=pl.String)
    judged = _judged(items, ready.with_columns(finish_reason=unknown), None)
    return _quality(judged, by_model=False)


def _judged(
    items: pl.DataFrame, responses: pl.DataFrame, count_tokens: CountTokens | None
) -> pl.DataFrame:
    """Add the verdicts to responses, each with the question and the answer of its item."""
    of_items = responses.join(
        items.select("item_id", "family", "answer", "instruction"),
        on="item_id",
        maintain_order="left",
    )
    return judge_responses(of_items, count_tokens)


def _quality(judged: pl.DataFrame, by_model: bool) -> pl.DataFrame:
    without = {name: pl.lit(None, dtype=dtype) for name, dtype in OPINION_SCHEMA.items()}
    table = judged.with_columns(by_model=pl.lit(by_model), **without)
    if "key" not in table.columns:
        table = table.with_columns(key=pl.lit(None, dtype=pl.String))
    return table.select(list(QUALITY_SCHEMA)).cast(QUALITY_SCHEMA)


def with_written(
    items: pl.DataFrame, quality: pl.DataFrame, mismatches: Mismatches
) -> pl.DataFrame:
    """Replace the correct responses of ``items`` with the responses that a model wrote.

    ``quality`` is QUALITY_SCHEMA. Responses that failed the gates are excluded unless
    ``mismatches`` keeps them. A reasoning item without a ``none`` response gets its bare answer as
    one.
    """
    passed = pl.col("verdict") == "passed"
    taken = quality if mismatches == "keep" else quality.filter(passed)
    # A style written for an item replaces the source's, even if the written response failed.
    return _with_responses(_with_bare_answers(items), taken, replacing=quality)


def with_mismatches(items: pl.DataFrame, quality: pl.DataFrame) -> pl.DataFrame:
    """Add the responses of a model whose final answer is not the gold one, as ``wrong`` ones.

    ``quality`` is QUALITY_SCHEMA. A response without a final answer, or one that is cut off, is
    none of them.
    """
    mismatches = quality.filter(pl.col("verdict") == "answer_differs", "by_model")
    return _with_responses(items, mismatches, relevance="wrong")


def quality_of(judged: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Count the verdicts per benchmark, writer and style, with their shares.

    ``by_judge`` of the ``responses`` have their verdict from the study's judge. ``judged`` maps a
    benchmark to its QUALITY_SCHEMA table.
    """
    parts = [
        _counted(frame.filter(pl.col("by_model") == by_model)).select(
            pl.lit(benchmark).alias("benchmark"),
            pl.lit("a model" if by_model else "its source").alias("written_by"),
            "style",
            "verdict",
            "responses",
            "rate",
            "by_judge",
        )
        for benchmark, frame in judged.items()
        for by_model in (False, True)
    ]
    return pl.concat(parts)


def _counted(judged: pl.DataFrame) -> pl.DataFrame:
    """The counts of ``summarize_verdicts``, with the number of a judge's verdicts in each."""
    is_judges = (pl.col("judged_by") != RULES).fill_null(value=False)
    keys = ["style", "verdict"]
    of_judge = judged.group_by(keys).agg(is_judges.sum().cast(pl.Int64).alias("by_judge"))
    return summarize_verdicts(judged).join(of_judge, on=keys, maintain_order="left")


def with_matched(
    items: pl.DataFrame, styles: list[str], count_tokens: CountTokens | None
) -> pl.DataFrame:
    """Add the length-matched styles among ``styles`` to ``items`` that are missing them."""
    correct = _responses(items).filter(pl.col("relevance") == "correct")
    cut = {style: source for style in styles if (source := uncut_style(style, styles))}
    whole = [style for style in styles if is_own_style(style) and style not in cut]
    for style in (*MATCHED_STYLES, *cut):
        if style not in styles or style in correct["style"]:
            continue
        if style in cut:
            made = cut_responses(correct, cut[style], whole, count_tokens)
        else:
            made = matched_responses(correct, style, count_tokens)
        items = _with_responses(items, made.with_columns(style=pl.lit(style)))
    return items


def with_rationales(items: pl.DataFrame, styles: list[str]) -> pl.DataFrame:
    """Add the styles of a thinking model among ``styles`` that the source's rationales can make."""
    return _with_responses(items, rationale_responses(items, styles))


def _with_bare_answers(items: pl.DataFrame) -> pl.DataFrame:
    there = _responses(items).filter(pl.col("style") == "none")
    bare = items.filter(
        pl.col("family") != "knowledge",
        pl.col("answer").is_not_null(),
        ~pl.col("item_id").is_in(there["item_id"].implode()),
        # The further samples of an item share its bare answer.
        sample_number() == 0,
    )
    return _with_responses(
        items, bare.select("item_id", pl.col("answer").alias("text"), style=pl.lit("none"))
    )


def _responses(items: pl.DataFrame) -> pl.DataFrame:
    return ready_made(items).select("item_id", "style", "relevance", "text")


def _with_responses(
    items: pl.DataFrame,
    added: pl.DataFrame,
    replacing: pl.DataFrame | None = None,
    relevance: str = "correct",
) -> pl.DataFrame:
    """Add responses (item_id, style, text), by default correct ones, to each item's list."""
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
            added.with_columns(relevance=pl.lit(relevance)).select("item_id", *texts),
        ]
    )
    lists = every.group_by("item_id", maintain_order=True).agg(pl.struct(texts).alias("responses"))
    return (
        items.drop("responses")
        .join(lists, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("responses").fill_null([]))
        .match_to_schema(ITEM_SCHEMA)
    )
