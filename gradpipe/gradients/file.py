"""The stand-alone extractor: a data file in, a Parquet file out, no workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from gradpipe.aside import written_aside
from gradpipe.benchmarks.files import read_table
from gradpipe.errors import DataError
from gradpipe.gradients.extract import Progress, extract_rows
from gradpipe.gradients.pairs import pairs_of_table
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.table import spectra_table
from gradpipe.gradients.tokens import Encoder
from gradpipe.models.placement import IN_ONE_PIECE, Placement


def extract_file(
    data: str,
    model: str,
    out: Path,
    protocol: Protocol,
    offset: int = 0,
    limit: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    placement: Placement = IN_ONE_PIECE,
) -> tuple[list[tuple[int, str]], int]:
    """Write the spectra of ``data``'s rows to ``out``; ``example`` is the row's number in ``data``.

    Returns the rows that cannot be used, with their reasons (which the file's metadata keeps too,
    under ``unusable``), and the number of those that can. Raises GradpipeError, and writes nothing,
    where data, model or output file cannot be used.
    """
    pairs = pairs_of_table(read_table(data), data)
    if offset >= len(pairs):
        raise DataError(f"{data} has {len(pairs)} rows: an offset of {offset} leaves none.")
    pairs = pairs[offset : None if limit is None else offset + limit]
    _check_writable(out)
    from gradpipe.models.load import load_model

    loaded = load_model(model, dtype=protocol.dtype, placement=placement)
    names = [f"row {offset + number}" for number in range(len(pairs))]
    rows = Encoder(loaded.tokenizer, protocol, model, loaded.window).encode_all(pairs, names)
    extracted = pl.concat(list(extract_rows(loaded, rows, protocol, report)))
    extracted = extracted.with_columns(pl.col("row") + offset).sort("row")
    unusable = extracted.filter(pl.col("reason").is_not_null()).select("row", "reason").rows()
    _write(out, spectra_table(extracted), {"unusable": json.dumps(unusable)})
    return unusable, extracted.height - len(unusable)


def _check_writable(out: Path) -> None:
    if out.is_dir() or not os.access(out.resolve().parent, os.W_OK):
        raise DataError(
            f"{out} cannot be written: give a file in a folder that exists and is yours."
        )


def _write(out: Path, table: pl.DataFrame, metadata: dict[str, str]) -> None:
    try:
        with written_aside(out) as aside:
            table.write_parquet(aside, compression="zstd", metadata=metadata)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
