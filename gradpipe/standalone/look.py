"""What a data file holds for a model: its format, rendered examples, lengths, unusable rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from gradpipe.conversations.formats import find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.gradients.vocabulary import within_vocabulary
from gradpipe.models.find import find_model
from gradpipe.models.load import config_of, configured_embeddings
from gradpipe.standalone.data_source import DataSource, rows_of_source
from gradpipe.standalone.model_encoder import encoder_of_model


@dataclass(frozen=True)
class TextPiece:
    """A stretch of a rendered example: its ``text`` and whether its tokens carry loss.

    ``span`` is the span that they belong to, if the protocol divides responses.
    """

    text: str
    loss: bool
    span: str | None = None


@dataclass(frozen=True)
class RenderedExample:
    """A usable row, rendered: its number, its counts of tokens, and its text in pieces."""

    row: int
    tokens: int
    response_tokens: int
    truncated: bool
    pieces: list[TextPiece]


@dataclass(frozen=True)
class DataView:
    """What ``gradpipe look`` shows.

    ``columns`` has one row per column of the data: ``column``, ``type`` and ``role`` (null for one
    that is not used). ``lengths`` has the rows ``tokens`` and ``response_tokens`` of the usable
    rows: ``length``, ``min``, ``median``, ``p90``, ``max``. ``unusable`` has one row per reason:
    ``reason``, ``rows`` and ``first``, the number of the first such row.
    """

    format: str
    columns: pl.DataFrame
    rows: int
    window: int
    truncated: int
    lengths: pl.DataFrame
    unusable: pl.DataFrame
    notes: list[str]
    examples: list[RenderedExample]


def look_at(
    data: DataSource,
    model: str,
    protocol: Protocol,
    *,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
    offset: int = 0,
    limit: int | None = None,
    shown: int = 3,
    tokenizer: str | None = None,
    base: str | None = None,
) -> DataView:
    """Read and tokenize the rows of ``data`` for ``model``, whose weights are not read.

    ``columns`` and ``response_template`` are those of ``find_format`` and ``read_examples``;
    ``offset`` rows are skipped, then at most ``limit`` are read. The first ``shown`` usable rows
    are rendered. ``tokenizer`` replaces the model's own, ``base`` names the base model of an
    adapter. Raises DataError or ModelError as an
    extraction would, except that rows longer than the window are counted as truncated.
    """
    table = rows_of_source(data, offset, limit)
    data_format = find_format(table, str(data), columns)
    examples = read_examples(table, data_format, str(data), response_template=response_template)
    named = None if base is None else (base, None)
    source = find_model(model, base=named, tokenizer=tokenizer, weights=False)
    encoder = encoder_of_model(model, source, protocol)
    rows = [encoder.encode(example) for example in examples]
    if (embeddings := configured_embeddings(config_of(source, model))) is not None:
        rows = [within_vocabulary(row, embeddings) for row in rows]
    usable = [(offset + number, row) for number, row in enumerate(rows) if row.reason is None]
    return DataView(
        format=data_format.sentence(),
        columns=_columns(table, data_format.columns),
        rows=table.height,
        window=encoder.window,
        truncated=sum(row.truncated for row in rows),
        lengths=_lengths([row for _, row in usable]),
        unusable=_unusable(rows, offset),
        notes=encoder.notes,
        examples=[_rendered(encoder, number, row) for number, row in usable[:shown]],
    )


def _columns(table: pl.DataFrame, by_role: Mapping[str, str]) -> pl.DataFrame:
    roles: dict[str, list[str]] = {}
    for role, column in by_role.items():
        roles.setdefault(column, []).append(role)
    rows = [
        (name, str(dtype), ", ".join(roles[name]) if name in roles else None)
        for name, dtype in table.schema.items()
    ]
    schema = {"column": pl.String, "type": pl.String, "role": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _lengths(rows: list[TokenRow]) -> pl.DataFrame:
    counts = {
        "tokens": [len(row.ids) for row in rows],
        "response_tokens": [row.response_tokens for row in rows],
    }
    long = pl.DataFrame(counts, schema=dict.fromkeys(counts, pl.Int64)).unpivot(
        variable_name="length", value_name="count"
    )
    count = pl.col("count")
    return long.group_by("length", maintain_order=True).agg(
        count.min().alias("min"),
        count.median().alias("median"),
        count.quantile(0.9, "nearest").cast(pl.Int64).alias("p90"),
        count.max().alias("max"),
    )


def _unusable(rows: list[TokenRow], offset: int) -> pl.DataFrame:
    reasons = [(offset + number, row.reason) for number, row in enumerate(rows) if row.reason]
    table = pl.DataFrame(reasons, schema={"row": pl.Int64, "reason": pl.String}, orient="row")
    grouped = table.group_by("reason", maintain_order=True)
    counted = grouped.agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("row").min().alias("first"))
    return counted.sort("rows", descending=True, maintain_order=True)


def _rendered(encoder: Encoder, number: int, row: TokenRow) -> RenderedExample:
    """A row as text, divided where tokens begin or cease to carry loss, or another span begins."""
    # Controls come last and overlap the spans that divide the response.
    span_of = {place: span.name for span in reversed(row.spans) for place in span.positions}
    loss = set(row.positions)
    kinds = [(place in loss, span_of.get(place)) for place in range(len(row.ids))]
    tokenizer: Any = encoder.tokenizer
    pieces = []
    for (carries, span), group in groupby(range(len(row.ids)), key=lambda place: kinds[place]):
        ids = [row.ids[place] for place in group]
        text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        pieces.append(TextPiece(text, carries, span))
    return RenderedExample(
        row=number,
        tokens=len(row.ids),
        response_tokens=row.response_tokens,
        truncated=row.truncated,
        pieces=pieces,
    )
