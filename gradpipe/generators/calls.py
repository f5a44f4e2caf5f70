"""Calls to a model: the plan of a study, and the schemas of calls and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from gradpipe.benchmarks.items import FAMILIES
from gradpipe.benchmarks.samples import sample_id
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.prompts import Template, load_templates
from gradpipe.generators.written_styles import MAX_TOKENS
from gradpipe.styles import KNOWLEDGE_STYLES
from gradpipe.system.hashing import content_hash

#: Part of every call's key: raised when the same prompt and settings lead to another request.
GENERATOR_VERSION = "1"

#: One row per planned call. ``messages`` is a JSON list of {role, content}; ``settings`` is a JSON
#: object with everything else that determines the text.
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

#: One row per answered call, identified by ``key``; item and benchmark are the first to need it.
#: Token counts are null if the server gave none; ``seconds`` is the time of the last attempt.
#: ``reasoning`` is the thinking before the text, with ``reasoning_tokens`` of ``response_tokens``;
#: ``cut`` is the text from a stop token on that the server left in the answer; ``answered_by`` and
#: ``fingerprint`` are the model and the configuration that the server names; ``cost`` is in the
#: currency of the bill. Each is null without a value, and for answers that were stored before
#: its column existed.
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
        "reasoning": pl.String(),
        "reasoning_tokens": pl.Int64(),
        "cut": pl.String(),
        "answered_by": pl.String(),
        "fingerprint": pl.String(),
        "cost": pl.Float64(),
    }
)


def plan_calls(
    items: pl.DataFrame, config: GeneratorConfig, listed: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return the calls (PLAN_SCHEMA) that ``items`` (ITEM_SCHEMA) need, in their order.

    Reasoning items get the reasoning styles, knowledge items the lengths. A style is skipped if the
    item already has a correct response in it, unless ``config.styles`` names it. ``listed`` are the
    styles that the study lists, if it lists any: ``thinking`` and ``answer_only`` are planned only
    where the study or the generator lists them. Both are one call, and items with the same prompt
    share a key. Each sample is a call of its own, with the ``item_id`` of the sample; sample 0 is
    the call of a study without samples. Raises DataError for an invalid prompt and for an item
    without a text that its prompt uses, ModelError for a missing local model.
    """
    pairs = _pairs_to_generate(items, config, config.styles_to_write(listed))
    if pairs.is_empty():
        return PLAN_SCHEMA.to_frame()
    templates = load_templates(config, pairs["style"].unique())
    identity = config.identity()
    rows = [
        _call(item, templates[item["style"]], config, identity, sample)
        for item in pairs.iter_rows(named=True)
        for sample in range(config.samples)
    ]
    return pl.DataFrame(rows, schema=PLAN_SCHEMA)


def _pairs_to_generate(
    items: pl.DataFrame, config: GeneratorConfig, styles: Sequence[str]
) -> pl.DataFrame:
    """Return one row per item and style to generate: the item's columns and ``style``."""
    if config.kind == "source":
        return items.clear().with_columns(style=pl.lit(""))
    pairs = (
        items.with_row_index("row")
        .join(_styles_of_family(styles), on="family", how="inner", maintain_order="left_right")
        .with_row_index("place")
    )
    if config.styles is None:
        ready = (
            pairs.select("row", "responses")
            .unique("row")
            .explode("responses")
            .unnest("responses")
            .filter(pl.col("relevance") == "correct", pl.col("text").is_not_null())
        )
        pairs = pairs.join(ready, on=["row", "style"], how="anti").sort("place")
    return pairs


def _styles_of_family(styles: Sequence[str]) -> pl.DataFrame:
    """Return the styles to generate, one row per ``family`` and ``style``."""
    rows = [
        (family, style)
        for family in FAMILIES
        for style in MAX_TOKENS
        if style in styles and (style in KNOWLEDGE_STYLES) == (family == "knowledge")
    ]
    return pl.DataFrame(rows, schema={"family": pl.String, "style": pl.String}, orient="row")


def _call(
    item: Mapping[str, Any],
    template: Template,
    config: GeneratorConfig,
    identity: dict[str, Any],
    sample: int,
) -> dict[str, Any]:
    messages = template.messages(item)
    max_tokens = config.max_tokens or MAX_TOKENS[item["style"]]
    own = config.request_settings(item["style"], sample)
    settings = {**identity, **own, "max_tokens": max_tokens}
    return {
        # Without item and benchmark: after a rename, the same answers are reused.
        "key": content_hash(GENERATOR_VERSION, messages, settings),
        "item_id": sample_id(item["item_id"], sample),
        "benchmark": item["benchmark"],
        "style": item["style"],
        "prompt_hash": template.hash,
        "messages": json.dumps(messages, ensure_ascii=False),
        "model": config.model,
        "settings": json.dumps(settings, sort_keys=True),
        "max_tokens": max_tokens,
    }
