"""Calls: what is to be asked of a model, and what is kept of its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from gradpipe.benchmarks.items import FAMILIES
from gradpipe.generators.config import MAX_TOKENS, GeneratorConfig
from gradpipe.generators.prompts import Template, load_template
from gradpipe.styles import KNOWLEDGE_STYLES
from gradpipe.system.hashing import content_hash

#: Part of every call's key: raised when the same prompt and settings are asked in another way.
GENERATOR_VERSION = "1"

#: One row a call to be made. ``messages`` is JSON, a list of {role, content}; ``settings`` is
#: JSON, all that decides the text beside the messages.
PLAN_SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "item_id": pl.String(),
        "benchmark": pl.String(),
        "style": pl.String(),
        "prompt_hash": pl.String(),
        "messages": pl.String(),
        "model": pl.String(),
        "settings": pl.String(),
        "max_tokens": pl.Int64(),
    }
)

#: One row a call that was answered: its key identifies it, item and benchmark are those that asked
#: first. Token counts are null where the server gave none; ``seconds`` is the answered attempt's.
CALL_SCHEMA = pl.Schema(
    {name: dtype for name, dtype in PLAN_SCHEMA.items() if name != "max_tokens"}
    | {
        "text": pl.String(),
        "finish_reason": pl.String(),
        "prompt_tokens": pl.Int64(),
        "response_tokens": pl.Int64(),
        "seconds": pl.Float64(),
        "created": pl.Datetime("ms", "UTC"),
        "error": pl.String(),
    }
)


def plan_calls(items: pl.DataFrame, config: GeneratorConfig) -> pl.DataFrame:
    """The calls (PLAN_SCHEMA) that ``items`` (ITEM_SCHEMA) need, in their order.

    Reasoning items get the reasoning styles, knowledge items the lengths. A style the item already
    has a correct response of is left out, unless ``config.styles`` names it. Items that ask the
    same share a key. Raises DataError for a prompt that cannot be used or lacks a text of an item,
    and ModelError where a local model cannot be found.
    """
    wanted = _wanted(items, config)
    if wanted.is_empty():
        return PLAN_SCHEMA.to_frame()
    templates = {style: load_template(style, config.prompts) for style in set(wanted["style"])}
    identity = config.identity()
    rows = [
        _call(item, templates[item["style"]], config, identity)
        for item in wanted.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=PLAN_SCHEMA)


def _wanted(items: pl.DataFrame, config: GeneratorConfig) -> pl.DataFrame:
    """One row an item and style to be generated: the item's columns and ``style``."""
    if config.kind == "source":
        return items.clear().with_columns(style=pl.lit(""))
    wanted = (
        items.with_row_index("row")
        .join(_styles_of_family(config), on="family", how="inner", maintain_order="left_right")
        .with_row_index("place")
    )
    if config.styles is None:
        ready = (
            wanted.select("row", "responses")
            .unique("row")
            .explode("responses")
            .unnest("responses")
            .filter(pl.col("relevance") == "correct", pl.col("text").is_not_null())
        )
        wanted = wanted.join(ready, on=["row", "style"], how="anti").sort("place")
    return wanted


def _styles_of_family(config: GeneratorConfig) -> pl.DataFrame:
    """The styles to generate, one row a ``family`` and ``style``."""
    asked = MAX_TOKENS if config.styles is None else config.styles
    rows = [
        (family, style)
        for family in FAMILIES
        for style in MAX_TOKENS
        if style in asked and (style in KNOWLEDGE_STYLES) == (family == "knowledge")
    ]
    return pl.DataFrame(rows, schema={"family": pl.String, "style": pl.String}, orient="row")


def _call(
    item: Mapping[str, Any], template: Template, config: GeneratorConfig, identity: dict[str, Any]
) -> dict[str, Any]:
    messages = template.messages(item)
    max_tokens = config.max_tokens or MAX_TOKENS[template.style]
    settings = {**identity, "max_tokens": max_tokens}
    return {
        # Neither item nor benchmark: one that is renamed pays nothing again.
        "key": content_hash(GENERATOR_VERSION, messages, settings),
        "item_id": item["item_id"],
        "benchmark": item["benchmark"],
        "style": template.style,
        "prompt_hash": template.hash,
        "messages": json.dumps(messages, ensure_ascii=False),
        "model": config.model,
        "settings": json.dumps(settings, sort_keys=True),
        "max_tokens": max_tokens,
    }
