"""Where a response comes from: its writer, its call's settings, tokens, cost and verdict."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from gradpipe.styles import THINKING_STYLES

#: The writer of a response that the benchmark's source provides.
THE_SOURCE = "the source"
#: The writer of a response whose call is not known: one that an earlier version stored.
A_MODEL = "a model"

#: One row per judged response. ``written_by`` is the model, THE_SOURCE or A_MODEL; the columns from
#: ``key`` on are null unless it is a known model. ``answered_by`` and ``fingerprint`` are the
#: server's own words. ``request`` is a JSON object with the additional fields of the request.
#: ``response_tokens`` are ``reasoning_tokens`` and ``answer_tokens``; counts are null if the server
#: gave none. ``cut`` is the text that was cut from the answer. ``cost`` is what the server
#: reported, else the tokens at the study's price. ``seconds`` is the time of the last attempt.
PROVENANCE_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "style": pl.String(),
        "written_by": pl.String(),
        "verdict": pl.String(),
        "found_answer": pl.String(),
        "key": pl.String(),
        "model": pl.String(),
        "answered_by": pl.String(),
        "fingerprint": pl.String(),
        "prompt_hash": pl.String(),
        "temperature": pl.Float64(),
        "seed": pl.Int64(),
        "request": pl.String(),
        "max_tokens": pl.Int64(),
        "finish_reason": pl.String(),
        "prompt_tokens": pl.Int64(),
        "response_tokens": pl.Int64(),
        "reasoning_tokens": pl.Int64(),
        "answer_tokens": pl.Int64(),
        "cut": pl.String(),
        "cost": pl.Float64(),
        "seconds": pl.Float64(),
        "created": pl.Datetime("ms", "UTC"),
    }
)
#: One row per style and writer: the share of ``accepted`` responses, the mean tokens of those with
#: a count, and the cost of the calls, None if no cost is known.
WRITER_SCHEMA = pl.Schema(
    {
        "written_by": pl.String(),
        "style": pl.String(),
        "responses": pl.Int64(),
        "accepted": pl.Float64(),
        "mean_tokens": pl.Float64(),
        "mean_thinking": pl.Float64(),
        "cost": pl.Float64(),
    }
)
#: The settings of a call that have a column.
_SETTINGS = pl.Schema(
    {name: PROVENANCE_SCHEMA[name] for name in ("temperature", "seed", "request", "max_tokens")}
)


#: The columns that are those of the stored answer.
_OF_CALLS = (
    *("model", "answered_by", "fingerprint", "prompt_hash", "finish_reason", "prompt_tokens"),
    *("response_tokens", "reasoning_tokens", "cut", "cost", "seconds", "created"),
)
#: The columns of CALL_SCHEMA that provenance is made of.
CALL_COLUMNS = ("key", "settings", "reasoning", *_OF_CALLS)


def response_provenance(quality: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The provenance (PROVENANCE_SCHEMA) of judged responses, in their order, with their ``text``.

    ``quality`` is QUALITY_SCHEMA; ``answers`` (CALL_COLUMNS of CALL_SCHEMA) has the calls that
    wrote some of them.
    """
    settings = [_settings(text) for text in answers["settings"]]
    calls = pl.concat(
        [
            answers.select("key", "reasoning", *_OF_CALLS),
            pl.DataFrame(settings, schema=_SETTINGS),
        ],
        how="horizontal",
    ).unique("key", keep="first")
    unknown = pl.when("by_model").then(pl.lit(A_MODEL)).otherwise(pl.lit(THE_SOURCE))
    return (
        quality.select("by_model", "item_id", "style", "verdict", "found_answer", "text", "key")
        .join(calls, on="key", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("model", unknown).alias("written_by"),
            _answer_tokens().alias("answer_tokens"),
        )
        .select(*PROVENANCE_SCHEMA, "text")
    )


def _answer_tokens() -> pl.Expr:
    """The tokens of the response without those of its thinking, if both are known."""
    # A server that counts no thinking, and sent none, has an answer alone. Earlier versions stored
    # the thinking of a thinking model's styles within the answer.
    alone = pl.col("reasoning").is_null() & ~pl.col("style").is_in(THINKING_STYLES)
    thinking = pl.when(alone).then(pl.col("reasoning_tokens").fill_null(0))
    rest = pl.col("response_tokens") - thinking.otherwise("reasoning_tokens")
    return pl.when(rest >= 0).then(rest)


def _settings(text: str | None) -> dict[str, Any]:
    """The settings of one call that have a column."""
    settings = json.loads(text or "{}")
    request = settings.get("request")
    named = {name: settings.get(name) for name in _SETTINGS}
    return {**named, "request": json.dumps(request, sort_keys=True) if request else None}


def writers_of(provenance: pl.DataFrame) -> pl.DataFrame:
    """Count the responses of each style and writer (WRITER_SCHEMA).

    A call that several rows share, such as ``thinking`` and ``answer_only``, costs once: the first
    row has its cost.
    """
    again = pl.col("key").is_not_null() & ~pl.col("key").is_first_distinct()
    paid = pl.when(again).then(pl.col("cost") * 0).otherwise("cost")
    counted = provenance.with_columns(paid.alias("cost"))
    cost = pl.when(pl.col("cost").count() > 0).then(pl.col("cost").sum())
    return (
        counted.group_by("written_by", "style", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("responses"),
            (pl.col("verdict") == "passed").mean().alias("accepted"),
            pl.col("response_tokens").mean().alias("mean_tokens"),
            pl.col("reasoning_tokens").mean().alias("mean_thinking"),
            cost.alias("cost"),
        )
        .match_to_schema(WRITER_SCHEMA)
    )
