"""The item: one question of a benchmark, the same for every source; and samples of items."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from gradpipe.errors import DataError
from gradpipe.styles import KNOWLEDGE_STYLES
from gradpipe.system.hashing import content_hash

FAMILIES = ("math", "commonsense", "knowledge", "instruction")
SamplingMethod = Literal["first", "random"]

#: One row per item. ``index`` is its row in the source. ``responses`` are the ready-made texts that
#: the source provides, each with its style and relevance. ``context`` is what precedes them, where
#: it is more than the instruction (see gradpipe.conversations.context).
ITEM_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "benchmark": pl.String(),
        "family": pl.String(),
        "index": pl.Int64(),
        "instruction": pl.String(),
        "answer": pl.String(),
        "rationale": pl.String(),
        "responses": pl.List(
            pl.Struct({"style": pl.String(), "relevance": pl.String(), "text": pl.String()})
        ),
        "context": pl.String(),
    }
)


def build_items(
    table: pl.DataFrame,
    benchmark: str,
    family: str | None,
    responses: Mapping[tuple[str, str], str],
) -> pl.DataFrame:
    """Convert the rows of one source into items (ITEM_SCHEMA), in the order of ``table``.

    ``table`` has the text columns ``instruction``, ``answer`` and ``rationale`` (the last two may
    hold nulls), and optionally ``context``. It has one more column per (style, relevance) in
    ``responses``, which maps to the column's name. Null responses are omitted from their row. If
    ``family`` is not given, it is ``knowledge`` when every style is a knowledge style, else
    ``commonsense``.
    """
    if family is None:
        knowledge = all(style in KNOWLEDGE_STYLES for style, _ in responses)
        family = "knowledge" if knowledge else "commonsense"
    texts = [
        pl.when(pl.col(column).is_not_null()).then(
            pl.struct(
                pl.lit(style).alias("style"),
                pl.lit(relevance).alias("relevance"),
                pl.col(column).alias("text"),
            )
        )
        for (style, relevance), column in responses.items()
    ]
    response_list = (
        pl.concat_list(texts).list.drop_nulls()
        if texts
        else pl.lit([], dtype=ITEM_SCHEMA["responses"])
    )
    return table.select(
        pl.Series("item_id", _item_ids(table, benchmark), dtype=pl.String),
        pl.lit(benchmark).alias("benchmark"),
        pl.lit(family).alias("family"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("index"),
        "instruction",
        "answer",
        "rationale",
        response_list.alias("responses"),
        pl.col("context")
        if "context" in table.columns
        else pl.lit(None, dtype=pl.String).alias("context"),
    ).match_to_schema(ITEM_SCHEMA)


def ready_made(items: pl.DataFrame) -> pl.DataFrame:
    """List the ready-made responses, one per row.

    The columns are the item's, and ``style``, ``relevance`` and ``text``.
    """
    return (
        items.drop("rationale")
        .explode("responses")
        .unnest("responses")
        .filter(pl.col("text").is_not_null())
    )


def _item_ids(table: pl.DataFrame, benchmark: str) -> list[str]:
    # The number of earlier duplicates keeps ids unique, and stable when rows are appended.
    keyed = table.select(
        "instruction",
        "answer",
        pl.int_range(pl.len()).over("instruction", "answer").alias("occurrence"),
    )
    return [content_hash(benchmark, *row) for row in keyed.iter_rows()]


def sample_items(
    items: pl.DataFrame, sample: int | None, how: SamplingMethod = "first", seed: int = 0
) -> pl.DataFrame:
    """Take ``sample`` items in source order; all of them for None or when there are fewer.

    A larger sample contains every smaller sample of the same seed. Raises DataError below 1.
    """
    if sample is not None and sample < 1:
        raise DataError(f"a sample of {sample} items is empty: take 1 or more, or null for all.")
    taken = items if sample is None else sampling_order(items, how, seed).head(sample)
    return taken.sort("index")


def sampling_order(
    items: pl.DataFrame, how: SamplingMethod = "first", seed: int = 0
) -> pl.DataFrame:
    """Sort rows in the order that a growing sample takes; needs ``index``, ``item_id``."""
    if how == "first":
        return items.sort("index")
    keys = [content_hash(seed, item_id) for item_id in items["item_id"]]
    return items.sort(pl.Series(keys, dtype=pl.String))
