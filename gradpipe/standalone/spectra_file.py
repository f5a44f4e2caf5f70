"""Read a file that ``gradpipe extract`` wrote, a part of it at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from pyarrow import parquet

from gradpipe.errors import DataError, GradpipeError
from gradpipe.standalone.shard_files import spectra_files

#: Matrices whose spectra are reduced at once: about 50 MB in float64.
MATRICES_AT_ONCE = 2**14


@contextmanager
def readable_spectra(path: Path) -> Iterator[None]:
    """Turn what readers raise for a damaged file, or one of another kind, into one DataError."""
    try:
        yield
    except GradpipeError:
        raise
    # Readers raise many kinds of errors; Polars' panic is not a subclass of Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{path} is damaged or not a Parquet file of spectra: give a table that "
            "`gradpipe extract` wrote."
        ) from error


def columns_and_unusable(path: Path) -> tuple[list[str], pl.DataFrame]:
    """The column names of a table of spectra, and its unusable rows with their reasons.

    The columns are the ones that its files share.
    """
    columns: list[str] = []
    unusable: list[tuple[int, str]] = []
    for number, one in enumerate(spectra_files(path)):
        with parquet.ParquetFile(one) as file:
            names, metadata = file.schema_arrow.names, file.metadata.metadata or {}
        if "example" not in names:
            raise DataError(
                f"{one} has no column 'example', only {', '.join(names)}: give a table that "
                "`gradpipe extract` wrote."
            )
        columns = [name for name in columns if name in names] if number else names
        unusable += json.loads(metadata.get(b"unusable", b"[]"))
    return columns, pl.DataFrame(unusable, schema=["row", "reason"], orient="row")


def spectra_batches(path: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a table whose spectra may not fit in memory together."""
    for one in spectra_files(path):
        for batch in parquet.ParquetFile(one).iter_batches(MATRICES_AT_ONCE, columns=columns):
            yield pl.DataFrame(batch)


def hashes_of_parts(path: Path) -> list[tuple[int | None, str | None]] | None:
    """The number of rows of the data that each part of a table has, and the hash of its examples.

    Either is None where an earlier version did not write it. None for a table that was merged from
    parts whose rows alternate.
    """
    hashes: list[tuple[int | None, str | None]] = []
    for one in spectra_files(path):
        metadata = parquet.read_metadata(one).metadata or {}
        if b"merged" in metadata:
            merged = json.loads(metadata[b"merged"])
            if merged is None:
                return None
            hashes += [(rows, pairs) for rows, pairs in merged]
            continue
        rows, pairs = metadata.get(b"rows"), metadata.get(b"pairs")
        hashes.append((None if rows is None else int(rows), pairs and pairs.decode()))
    return hashes
