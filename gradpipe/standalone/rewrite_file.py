"""Write a user's table file again in another order and with more columns."""

import json
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import polars as pl

from gradpipe.benchmarks.table_files import (
    json_objects,
    jsonl_objects,
    parse_table,
    table_extension,
)


def rewrite_rows(data: bytes, name: str, order: Sequence[int], columns: pl.DataFrame) -> bytes:
    """A file in the format of ``name`` with the rows of ``data`` that ``order`` lists, in order.

    ``data`` is what ``parse_table`` reads; ``columns``, one row per entry of ``order``, is added.
    The rows keep their content: JSON objects their nesting and optional keys, CSV cells their text,
    Parquet columns their types.
    """
    extension = table_extension(name)
    if extension in {".json", ".jsonl", ".ndjson"}:
        objects = json_objects(data) if extension == ".json" else jsonl_objects(data)
        rows = [
            {**objects[number], **more}
            for number, more in zip(order, columns.iter_rows(named=True), strict=True)
        ]
        text = _as_json(rows) if extension == ".json" else _as_jsonl(rows)
        return text.encode()
    table = parse_table(data, name)[list(order)].hstack(columns)
    buffer = BytesIO()
    if extension == ".parquet":
        table.write_parquet(buffer, compression="zstd")
    else:
        table.write_csv(buffer, separator="\t" if extension == ".tsv" else ",")
    return buffer.getvalue()


def _as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def _as_jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
