"""Where the responses of the extreme examples come from, and what the page says of it."""

from __future__ import annotations

from typing import Any

import polars as pl

from gradpipe.report.cell_results import EXAMPLE_LABELS
from gradpipe.report.style import number
from gradpipe.responses.provenance import PROVENANCE_SCHEMA, THE_SOURCE
from gradpipe.styles import MATCHED_STYLES, uncut_style

#: The writer of a response that gradpipe made of another one.
GRADPIPE = "gradpipe, from another response"
#: Provenance without the column ``model``, which is that of the gradients in all of a report's
#: tables; ``written_by`` has the same name.
_ORIGIN = {name: dtype for name, dtype in PROVENANCE_SCHEMA.items() if name != "model"}
#: One row per judged response of a benchmark.
REPORT_RESPONSE_SCHEMA = pl.Schema({"benchmark": pl.String(), **_ORIGIN})
#: One row per extreme example whose response's origin is known. ``item_id`` is the item that the
#: response was written for; ``source`` is the kind of its benchmark's source.
ORIGIN_SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        "benchmark": pl.String(),
        "end": pl.String(),
        "place": pl.Int64(),
        "source": pl.String(),
        **_ORIGIN,
    }
)
#: Characters of a text that the page shows: a server or a study may give any number.
MOST_FACT_CHARACTERS = 200


def extreme_origins(
    extremes: pl.DataFrame, examples: pl.DataFrame, responses: pl.DataFrame, source: str | None
) -> pl.DataFrame:
    """The origins (ORIGIN_SCHEMA) of the responses of extreme examples of one benchmark.

    ``extremes`` is EXTREME_SCHEMA; ``examples`` has the whole ``response`` and ``donor_item_id`` of
    each. ``responses`` is REPORT_RESPONSE_SCHEMA with ``text``. A response that is none of them is
    the source's, or was made of another one. Where that cannot be known, it has no row.
    """
    places = ["model", "benchmark", "end", "place"]
    wanted = (
        extremes.select(*places, *EXAMPLE_LABELS)
        .join(
            examples.select(
                *EXAMPLE_LABELS, "donor_item_id", pl.col("response").alias("text")
            ).unique(),
            on=EXAMPLE_LABELS,
            maintain_order="left",
        )
        .with_columns(
            (pl.col("relevance") == "irrelevant").alias("drawn"),
            pl.coalesce("donor_item_id", "item_id").alias("item_id"),
        )
    )
    known = (
        responses.drop("benchmark")
        .join(wanted, on=["item_id", "style", "text"], how="semi")
        .unique(["item_id", "style", "text"], keep="first")
    )
    styles = examples["style"].unique().to_list()
    cut = [style for style in styles if uncut_style(style, styles)]
    made = pl.col("style").is_in([*MATCHED_STYLES, *cut]) | (pl.col("relevance") == "wrong")
    writer = (
        pl.when(made)
        .then(pl.lit(GRADPIPE))
        .when(~pl.col("drawn") | pl.col("donor_item_id").is_not_null())
        .then(pl.lit(THE_SOURCE))
    )
    return (
        wanted.join(known, on=["item_id", "style", "text"], how="left", maintain_order="left")
        .with_columns(pl.coalesce("written_by", writer), pl.lit(source).alias("source"))
        .drop_nulls("written_by")
        .match_to_schema(ORIGIN_SCHEMA, extra_columns="ignore")
    )


def origin_facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """What the page says of an origin (a row of ORIGIN_SCHEMA): names and texts, without nulls."""
    by_source = row["written_by"] == THE_SOURCE and row["source"]
    facts = {
        "written by": f"{THE_SOURCE} ({row['source']})" if by_source else row["written_by"],
        "server’s model": row["answered_by"],
        "server’s fingerprint": row["fingerprint"],
        "prompt hash": row["prompt_hash"],
        "sampling": _sampling(row),
        "finish reason": row["finish_reason"],
        "tokens": _tokens(row),
        "cut from the end": row["cut"],
        "cost": None if row["cost"] is None else number(row["cost"]),
        "time": _time(row),
        "verdict": _verdict(row),
    }
    return [(name, _shortened(text)) for name, text in facts.items() if text]


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_FACT_CHARACTERS else text[: MOST_FACT_CHARACTERS - 1] + "…"


def _sampling(row: dict[str, Any]) -> str:
    parts = {
        "temperature {}": row["temperature"],
        "seed {}": row["seed"],
        "at most {} tokens": row["max_tokens"],
        "with {}": row["request"],
    }
    return ", ".join(text.format(_plain(v)) for text, v in parts.items() if v is not None)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tokens(row: dict[str, Any]) -> str:
    response = row["response_tokens"]
    divided = {
        "{} of thinking": row["reasoning_tokens"],
        "{} of the answer": row["answer_tokens"],
        # Only where the parts do not say it.
        "{} of the response": response if row["answer_tokens"] is None else None,
        "{} of the prompt": row["prompt_tokens"],
    }
    return ", ".join(text.format(number(n)) for text, n in divided.items() if n is not None)


def _time(row: dict[str, Any]) -> str:
    """How long the call took, and when its answer arrived."""
    seconds = "" if row["seconds"] is None else f"{number(row['seconds'])} s"
    created = "" if row["created"] is None else f"{row['created']:%Y-%m-%d %H:%M} UTC"
    return ", ".join(filter(None, (seconds, created)))


def _verdict(row: dict[str, Any]) -> str:
    if row["verdict"] is None:
        return ""
    verdict = str(row["verdict"]).replace("_", " ")
    return verdict + (f"; answer found: {row['found_answer']}" if row["found_answer"] else "")
