"""Write a table of spectra in order, in slices, with the metadata that later commands check."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from gradpipe.errors import DataError
from gradpipe.standalone.output_file import unwritable
from gradpipe.standalone.spectra_table import PARTS
from gradpipe.system.atomic_files import aside_path


class SpectraWriter:
    """Writes frames of one table as row groups of a Parquet file; frames may have PARTS or not.

    Raises DataError if the file cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path = aside_path(out)
        self._writer: parquet.ParquetWriter | None = None
        self._schema: pa.Schema | None = None

    def write(self, table: pl.DataFrame) -> None:
        """Add rows; an empty first frame gives the file its columns."""
        rows = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        with _named(self._out):
            if self._schema is None:
                self._open(rows.schema)
            known = self._schema.names if self._schema is not None else []
            if new := [name for name in rows.column_names if name not in known]:
                self._widen([rows.schema.field(name) for name in new])
            if rows.num_rows:
                self._write(rows)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Add the metadata and replace ``out`` by the file."""
        with _named(self._out):
            assert self._writer is not None, "there was a frame"
            self._writer.add_key_value_metadata(dict(metadata))
            self._writer.close()
            with self._path.open("r+b") as file:
                # Without this, a crash could leave the new name with no content.
                os.fsync(file.fileno())
            self._path.replace(self._out)

    def discard(self) -> None:
        """Delete the file unless it is finished."""
        if self._writer is not None and self._writer.is_open:
            # Closing writes the footer, for which a full disk has no room.
            with suppress(OSError):
                self._writer.close()
        self._path.unlink(missing_ok=True)

    def _open(self, schema: pa.Schema) -> None:
        order = [name for name in schema.names if name not in PARTS]
        order += [name for name in PARTS if name in schema.names]
        self._schema = pa.schema([schema.field(name) for name in order])
        self._writer = parquet.ParquetWriter(self._path, self._schema, compression="zstd")

    def _write(self, rows: pa.Table) -> None:
        assert self._schema is not None
        assert self._writer is not None
        columns = [
            rows[field.name]
            if field.name in rows.column_names
            else pa.nulls(rows.num_rows, field.type)
            for field in self._schema
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def _widen(self, fields: list[pa.Field]) -> None:
        """Write the rows so far again, with more columns: a mixture's experts come late."""
        assert self._schema is not None
        assert self._writer is not None
        self._writer.close()
        earlier = self._path.rename(self._path.with_name(f"{self._path.name}.earlier"))
        try:
            self._open(pa.schema([*self._schema, *fields]))
            for batch in parquet.ParquetFile(earlier).iter_batches(2**12):
                self._write(pa.Table.from_batches([batch]))
        finally:
            earlier.unlink()


@contextmanager
def spectra_file(out: Path) -> Iterator[SpectraWriter]:
    """A writer of ``out``; without ``finish``, an earlier file stays untouched."""
    writer = SpectraWriter(out)
    try:
        yield writer
    finally:
        writer.discard()


@contextmanager
def _named(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise unwritable(out, error) from error


def file_metadata(path: Path) -> dict[str, str]:
    """The metadata that a command wrote into a Parquet file; empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        found = parquet.read_metadata(path).metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}
    except (OSError, UnicodeDecodeError, pa.ArrowException):
        return {}


def listed_unusable(metadata: Mapping[str, str]) -> list[tuple[int, str]]:
    """The unusable rows of a file of spectra, with their reasons; raises DataError."""
    try:
        return [(int(row), str(reason)) for row, reason in json.loads(metadata["unusable"])]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("The metadata of a file of spectra are damaged.") from error
