"""The stand-alone extractor: a data file in, a Parquet file out, no workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from gradpipe.aside import written_aside
from gradpipe.benchmarks.files import read_table
from gradpipe.errors import DataError
from gradpipe.gradients.extract import Progress, extract_rows
from gradpipe.gradients.pairs import pairs_of_table
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.table import spectra_table
from gradpipe.gradients.tokens import Encoder, Pair
from gradpipe.hashing import content_hash
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

    Returns the rows that cannot be used, with their reasons, and the number of those that can. The
    file's metadata keeps those rows too, under ``unusable``, and a hash of all texts under
    ``pairs``. Raises GradpipeError, and writes nothing, where data, model or output file cannot be
    used.
    """
    pairs = pairs_of_table(read_table(data), data)
    if offset >= len(pairs):
        raise DataError(f"{data} has {len(pairs)} rows: an offset of {offset} leaves none.")
    pairs = pairs[offset : None if limit is None else offset + limit]
    check_writable(out)
    extracted = pl.concat(list(extract_pairs(pairs, model, protocol, report, placement, offset)))
    extracted = extracted.with_columns(pl.col("row") + offset).sort("row")
    unusable = extracted.filter(pl.col("reason").is_not_null()).select("row", "reason").rows()
    metadata = {"unusable": json.dumps(unusable), "pairs": hash_of_pairs(pairs)}
    table = spectra_table(extracted)
    write_whole(out, lambda path: table.write_parquet(path, compression="zstd", metadata=metadata))
    return unusable, extracted.height - len(unusable)


def extract_pairs(
    pairs: list[Pair],
    model: str,
    protocol: Protocol,
    report: Callable[[Progress], None] = lambda _: None,
    placement: Placement = IN_ONE_PIECE,
    offset: int = 0,
    *,
    aligned: bool = True,
) -> Iterator[pl.DataFrame]:
    """Spectra of pairs by a model that is loaded for them, as frames of ROW_SCHEMA, one a batch.

    Errors call the pairs by their rows in a file, from ``offset`` on. Without ``aligned``, cosines
    and sketches are left out. Raises ModelError or DataError where model or pairs cannot be used.
    """
    from gradpipe.models.load import load_model

    loaded = load_model(model, dtype=protocol.dtype, placement=placement)
    names = [f"row {offset + number}" for number in range(len(pairs))]
    rows = Encoder(loaded.tokenizer, protocol, model, loaded.window).encode_all(pairs, names)
    yield from extract_rows(loaded, rows, protocol, report, aligned=aligned)


def hash_of_pairs(pairs: list[Pair]) -> str:
    """What tells whether a table of spectra was made of the same texts in the same order."""
    return content_hash([[pair.instruction, pair.response] for pair in pairs])


def check_writable(out: Path) -> None:
    """Raises DataError where no file can be put at ``out``."""
    if out.is_dir() or not os.access(out.resolve().parent, os.W_OK):
        raise DataError(
            f"{out} cannot be written: give a file in a folder that exists and is yours."
        )


def write_whole(out: Path, write: Callable[[Path], object]) -> None:
    """Put what ``write`` writes to a path at ``out``, whole or not at all; raises DataError."""
    try:
        with written_aside(out) as aside:
            write(aside)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
