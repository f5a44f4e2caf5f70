"""The stand-alone extractor: a data file in, a Parquet file out, no workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.sources.user_files import read_table
from gradpipe.errors import DataError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import Progress
from gradpipe.gradients.tokens import Encoder, Pair, TokenRow
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.source import ModelSource
from gradpipe.standalone.pairs import pairs_of_table
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.system.atomic_files import written_aside
from gradpipe.system.hashing import content_hash


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
    tables, reasons = [], []
    for frame in extract_pairs(pairs, model, protocol, report, placement, offset):
        rows = frame.with_columns(pl.col("row") + offset)
        # Not the rows themselves: much of them is sketches, which the table leaves out.
        tables.append(spectra_table(rows))
        reasons.append(rows.filter(pl.col("reason").is_not_null()).select("row", "reason"))
    table = pl.concat(tables).sort("example", maintain_order=True)
    unusable = pl.concat(reasons).sort("row").rows()
    metadata = {"unusable": json.dumps(unusable), "pairs": hash_of_pairs(pairs)}
    write_whole(out, lambda path: table.write_parquet(path, compression="zstd", metadata=metadata))
    return unusable, len(pairs) - len(unusable)


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
    and sketches are left out. Raises ModelError or DataError where model or pairs cannot be used;
    for the pairs, before the model's weights are read.
    """
    from gradpipe.models.fingerprint import pin
    from gradpipe.models.load import load_source
    from gradpipe.models.source import resolve_model

    source = pin(resolve_model(model))
    rows = _encoded(pairs, model, source, protocol, offset)
    loaded = load_source(source, model, protocol.dtype, placement)
    yield from extract_rows(loaded, rows, protocol, report, aligned=aligned)


def _encoded(
    pairs: list[Pair], model: str, source: ModelSource, protocol: Protocol, offset: int
) -> list[TokenRow]:
    """The pairs as tokens, by what a model has beside its weights."""
    from gradpipe.models.load import load_config, load_tokenizer, load_window
    from gradpipe.models.refusals import refuse_adapter, refuse_config

    refuse_adapter(model, source)
    refuse_config(model, load_config(model, source.revision))
    tokenizer, window = load_tokenizer(model, source.revision), load_window(model, source.revision)
    names = [f"row {offset + number}" for number in range(len(pairs))]
    return Encoder(tokenizer, protocol, model, window).encode_all(pairs, names)


def hash_of_pairs(pairs: list[Pair]) -> str:
    """What tells whether a table of spectra was made of the same texts in the same order."""
    return content_hash([[pair.instruction, pair.response] for pair in pairs])


def check_writable(out: Path) -> None:
    """Raises DataError where no file can be put at ``out``."""
    special = out.exists() and not out.is_file()
    if special or not os.access(out.resolve().parent, os.W_OK):
        raise DataError(
            f"{out} cannot be written: give a file in a folder that exists and is yours."
        )


def write_whole(out: Path, write: Callable[[Path], object]) -> None:
    """Put what ``write`` writes to a path at ``out``, whole or not at all; raises DataError."""
    try:
        with written_aside(out) as aside:
            write(aside)
            with aside.open("r+b") as file:
                # Or a machine that stops now would have the new name and none of the content.
                os.fsync(file.fileno())
    # A full disk is a PolarsError: Polars writes to the file by itself.
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).rpartition("IO error: ")[2]
        raise DataError(
            f"{out} cannot be written ({reason}): check the folder's permissions and the disk's "
            "free space."
        ) from error
