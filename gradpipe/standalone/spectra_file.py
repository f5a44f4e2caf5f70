"""Read a file that ``gradpipe extract`` wrote, a part of it at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from pyarrow import parquet

from gradpipe.errors import DataError, GradpipeError

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
    """The column names of a file of spectra, and its unusable rows with their reasons."""
    # Opening a named pipe would block.
    if not path.is_file():
        raise DataError(f"{path} does not exist: give a table that `gradpipe extract` wrote.")
    with parquet.ParquetFile(path) as file:
        names, metadata = file.schema_arrow.names, file.metadata.metadata or {}
    if "example" not in names:
        raise DataError(
            f"{path} has no column 'example', only {', '.join(names)}: give a table that "
            "`gradpipe extract` wrote."
        )
    unusable = json.loads(metadata.get(b"unusable", b"[]"))
    return names, pl.DataFrame(unusable, schema=["row", "reason"], orient="row")


def spectra_batches(path: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a file whose spectra may not fit in memory together."""
    for batch in parquet.ParquetFile(path).iter_batches(MATRICES_AT_ONCE, columns=columns):
        yield pl.DataFrame(batch)
