"""The card of a data set of responses: README.md with the metadata that ``datasets`` reads."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import yaml

from gradpipe.system.units import format_cost

#: Characters of a request that the card shows.
MOST_REQUEST_CHARACTERS = 2000
#: Rows of a table in the card: a server may name another configuration with each response.
MOST_CARD_ROWS = 50
#: How ``datasets`` calls a column's type.
_DTYPES = {pl.String(): "string", pl.Int64(): "int64", pl.Float64(): "float64"}

_ABOUT = """\
Each row is one response that a language model wrote to a question of a benchmark. `messages`
holds the question and the response as a conversation{thinking}. `request_messages` holds what the
model was sent, which may contain more than the question, such as the gold answer that it had to
explain. `verdict` is the result of gradpipe's gates: `passed` means that the final answer agrees
with `gold_answer`, as far as the benchmark has one, and that the response is complete.
{chosen}"""
_COLUMNS = """\
`written_by` and `model` are the model as the study names it; `answered_by` and `fingerprint` are
the server's own names for the model and its configuration. `prompt_hash` identifies the prompt
template. `response_tokens` counts the thinking (`reasoning_tokens`) and the answer
(`answer_tokens`). `cost` is what the server reported, otherwise its tokens at the study's price.
`seconds` is the time of the call. `cut` is text that was cut from the end of the answer. A value is
null where the server did not give it."""
_LICENSE = """\
The questions are those of the benchmarks' sources, and their licenses apply. The terms of the
models' providers may limit what their responses can be used for. Check both before you publish this
data set or train on it."""


def dataset_card(rows: pl.DataFrame, study: str, size: tuple[int, int], accepted: bool) -> str:
    """The card of ``rows`` (``message_schema``), of the study of a name.

    ``size`` is the bytes of the data file and of its table; ``accepted``: whether only responses
    that passed the gates are among the rows.
    """
    front = yaml.safe_dump(_metadata(rows, study, size), sort_keys=False, allow_unicode=True)
    fields = rows.schema["messages"].inner.fields  # type: ignore[attr-defined]
    has_thinking = any(field.name == "reasoning_content" for field in fields)
    thinking = ", with the model's thinking in `reasoning_content`" if has_thinking else ""
    chosen = "Only such responses are included." if accepted else "Others are included too."
    counted = ["benchmark", "style", "written_by", "verdict"]
    sampled = [
        "model",
        "answered_by",
        "fingerprint",
        "temperature",
        "seed",
        "max_tokens",
        "request",
    ]
    parts = [
        f"---\n{front}---",
        f"# Responses of the study {_cell(study)}",
        _ABOUT.format(thinking=thinking, chosen=chosen),
        "## Size",
        f"{rows.height} response{'s' * (rows.height != 1)}{_price(rows)}.",
        _table(rows, counted),
        "## How the responses were sampled",
        _table(rows, sampled),
        "## Prompts",
        *_prompts(rows),
        "## Columns",
        _COLUMNS,
        "## License",
        _LICENSE,
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(rows: pl.DataFrame, study: str, size: tuple[int, int]) -> dict[str, Any]:
    """The card's metadata, by which ``datasets`` finds the file, its columns and its size."""
    file_bytes, table_bytes = size
    split = {"name": "train", "num_bytes": table_bytes, "num_examples": rows.height}
    return {
        "pretty_name": f"Responses of the study {study}",
        "license": "other",
        "tags": ["gradpipe", "synthetic"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "train-*.parquet"}],
            }
        ],
        "dataset_info": {
            "config_name": "default",
            "features": [_feature(name, dtype) for name, dtype in rows.schema.items()],
            "splits": [split],
            "download_size": file_bytes,
            "dataset_size": table_bytes,
        },
    }


def _feature(name: str, dtype: Any) -> dict[str, Any]:
    if isinstance(dtype, pl.List):
        fields = dtype.inner.fields  # type: ignore[union-attr]
        return {"name": name, "list": [_feature(field.name, field.dtype) for field in fields]}
    if isinstance(dtype, pl.Datetime):
        return {"name": name, "dtype": "timestamp[ms, tz=UTC]"}
    return {"name": name, "dtype": _DTYPES[dtype]}


def _price(rows: pl.DataFrame) -> str:
    known = rows.unique("key")["cost"].drop_nulls().to_list()
    return f", which cost {format_cost(sum(known))}" if known else ""


def _table(rows: pl.DataFrame, names: list[str]) -> str:
    """The different values of some columns as a table, with the responses of each."""
    counts = rows.group_by(names, maintain_order=True).agg(pl.len().alias("responses"))
    listed = counts.head(MOST_CARD_ROWS).rows()
    lines = [[*names, "responses"], ["---"] * (len(names) + 1), *listed]
    table = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    hidden = counts.height - len(listed)
    return f"{table}\n\n{hidden} more rows are left out." if hidden else table


def _prompts(rows: pl.DataFrame) -> list[str]:
    """One request of each prompt template, as an example."""
    known = rows.drop_nulls(["prompt_hash", "request_messages"])
    parts = []
    for row in known.unique(["style", "prompt_hash"], maintain_order=True).iter_rows(named=True):
        messages = json.loads(row["request_messages"])
        text = "\n\n".join(f"[{one['role']}]\n{one['content']}" for one in messages)
        if len(text) > MOST_REQUEST_CHARACTERS:
            text = text[:MOST_REQUEST_CHARACTERS] + " …"
        # A fence is longer than any run of backticks in the text.
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        parts.append(f"The style `{row['style']}`, prompt `{row['prompt_hash']}`, for one item:")
        parts.append(f"{fence}text\n{text}\n{fence}")
    return parts or ["The requests are not known."]


def _cell(value: Any) -> str:
    """A value as the cell of a table in Markdown."""
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
