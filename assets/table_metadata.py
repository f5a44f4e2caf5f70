"""What Dagster shows of a stage's table: the schema of its columns, and its first rows."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

#: Column → what it holds, for columns whose name does not say it.
_COLUMNS = {
    "item_id": "Identifies the item: a hash of its content.",
    "index": "The item's row in its source.",
    "answer": "The gold answer.",
    "rationale": "The source's own solution.",
    "responses": "The responses that come with the source: style, relevance, text.",
    "context": "The messages before the instruction, if there are any.",
    "example_id": "A hash of instruction, response and context.",
    "relevance": "correct, irrelevant, rejected or wrong.",
    "donor_item_id": "The item that an irrelevant response was taken from.",
    "verdict": "Of the final answer of a correct response with reasoning.",
    "key": "Identifies the row in the store: example, protocol, model and extractor version.",
    "loss": "Mean loss of the response's tokens.",
    "tokens": "Tokens of the whole text.",
    "response_tokens": "Tokens of the response.",
    "truncated": "Whether the text was cut to the window.",
    "reason": "Why the row is unusable; null if it is usable.",
    "seconds": "Its share of the time of its batch.",
    "gaps": "Projections that some layers do not have.",
    "projection": "Which matrix of the layer, such as q, k, v or o.",
}
#: Number of characters of a type; those of nested columns are long.
_LONGEST_TYPE = 60


def column_schema(schema: pl.Schema) -> Mapping[str, Any]:
    """The entry of an asset's metadata that shows the columns of its table."""
    columns = [
        dg.TableColumn(name, _type_name(dtype), _COLUMNS.get(name))
        for name, dtype in schema.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def markdown_table(frame: pl.DataFrame, rows: int = 5) -> dg.MarkdownMetadataValue:
    """The first rows as a table for the UI, with long texts cut."""
    head = frame.head(rows).select(
        pl.when(pl.col(name).str.len_chars() > 80)
        .then(pl.col(name).str.slice(0, 77) + "...")
        .otherwise(pl.col(name))
        .str.replace_all(r"[\r\n|]+", " ")
        if dtype == pl.String
        else pl.col(name).round_sig_figs(5)
        if dtype.is_float()
        else pl.col(name)
        for name, dtype in frame.schema.items()
    )
    lines = [head.columns, ["---"] * head.width, *head.iter_rows()]
    return dg.MetadataValue.md(
        "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    )


def _type_name(dtype: pl.DataType) -> str:
    """A type as Polars writes it; of nested ones only the start."""
    name = str(dtype)
    return name if len(name) <= _LONGEST_TYPE else f"{name[: _LONGEST_TYPE - 3]}..."
