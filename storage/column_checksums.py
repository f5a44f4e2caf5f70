"""Checksums of single columns of a part, so that a query verifies exactly what it reads.

The seal of a file (``storage.checksums``) covers the whole file, so that checking it takes a read
of everything. The footer of a part also has a SHA-256 of itself and of each column. A query reads
the footer and some columns, and verifies these bytes each time: nothing about an earlier check has
to be remembered, and nothing damaged after one is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl
from pyarrow import parquet

from storage.checksums import BLANK, MARK, SEAL, fill_seal

if TYPE_CHECKING:
    import pyarrow as pa

#: The name of the footer's entry, and what stands in front of the footer's checksum in it.
_NAME = "gradpipe.columns"
_COLUMNS_MARK = b"gradpipe-columns:"
#: Columns whose bytes are this close are read at once.
_CLOSE = 1 << 14


@dataclass(frozen=True)
class ColumnChecksum:
    """The bytes of one column, from ``start`` to ``end`` in its file, and their SHA-256."""

    start: int
    end: int
    digest: str

    def covers(self, content: bytes, at: int) -> bool:
        """Whether ``content``, the file's bytes from ``at`` on, has the column unchanged."""
        view = memoryview(content)[self.start - at : self.end - at]
        return len(view) == self.end - self.start and _digest(view) == self.digest


@dataclass(frozen=True)
class PartSeal:
    """What a part's footer says of its columns; ``schema`` is the digest of ``schema_digest``."""

    schema: str
    columns: dict[str, ColumnChecksum]

    def ranges(self, names: Collection[str]) -> Iterator[tuple[int, int, list[ColumnChecksum]]]:
        """The bytes to read for some columns, as ``start``, ``end`` and the columns in between."""
        wanted = [self.columns[name] for name in names if name in self.columns]
        group: list[ColumnChecksum] = []
        for column in sorted(wanted, key=lambda column: column.start):
            if group and column.start - group[-1].end > _CLOSE:
                yield group[0].start, group[-1].end, group
                group = []
            group.append(column)
        if group:
            yield group[0].start, group[-1].end, group


def sealed_part(frame: pl.DataFrame) -> bytes:
    """Rows as the bytes of a Parquet file with the seals of the file and of its columns.

    Floating-point numbers are written byte by byte (BYTE_STREAM_SPLIT): the first bytes of all
    numbers, then the second ones. So 100,000 singular values take 15% fewer bytes than in Polars'
    encoding, and nothing is lost.
    """
    table = _arrow(frame)
    blank = _entry(
        schema_digest(frame.schema), dict.fromkeys(frame.columns, (0, 0, BLANK.decode()))
    )
    buffer = BytesIO()
    split, dictionaries = _encodings(table)
    with parquet.ParquetWriter(
        buffer,
        table.schema,
        compression="zstd",
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        use_dictionary=dictionaries,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        # One group, so that a column is one range of bytes.
        if table.num_rows:
            writer.write_table(table, row_group_size=table.num_rows)
        writer.add_key_value_metadata({_NAME: blank, SEAL: MARK + BLANK})
    content = bytearray(buffer.getvalue())
    ranges = dict.fromkeys(frame.columns, (0, 0)) | _column_bytes(content)
    columns = {
        name: (start, end, _digest(memoryview(content)[start:end]))
        for name, (start, end) in ranges.items()
    }
    entry = _entry(schema_digest(frame.schema), columns)
    at = content.rindex(_COLUMNS_MARK)
    content[at : at + len(entry)] = entry
    at += len(_COLUMNS_MARK)
    footer = bytes(content[_footer_start(content) :])
    content[at : at + len(BLANK)] = _digest(footer).encode()
    return fill_seal(bytes(content))


def part_seal(end: bytes) -> PartSeal | None:
    """The seal in the last bytes of a part, which include its footer.

    None if the footer is damaged or was written without one: then the whole file must be checked.
    """
    start = _footer_start(end)
    if start < 0:
        return None
    footer = bytearray(end[start:])
    at, seal = footer.rfind(_COLUMNS_MARK), footer.rfind(MARK)
    if min(at, seal) < 0:
        return None
    at, seal = at + len(_COLUMNS_MARK), seal + len(MARK)
    digest = footer[at : at + len(BLANK)]
    footer[at : at + len(BLANK)] = footer[seal : seal + len(BLANK)] = BLANK
    if digest != _digest(footer).encode():
        return None
    text = footer[at + len(BLANK) : footer.index(b"\n", at)]
    entry = json.loads(text)
    columns = {
        name: ColumnChecksum(int(start), int(end), digest)
        for name, (start, end, digest) in entry["columns"].items()
    }
    return PartSeal(entry["schema"], columns)


def schema_digest(schema: pl.Schema) -> str:
    """A digest of names and types, by which a part of exactly this schema is known."""
    return _digest(repr(list(schema.items())).encode())[:20]


def _entry(schema: str, columns: dict[str, tuple[int, int, str]]) -> bytes:
    """The entry of the footer, without the footer's own checksum; of one length for all numbers."""
    padded = {
        name: (f"{start:015d}", f"{end:015d}", d) for name, (start, end, d) in columns.items()
    }
    text = json.dumps({"schema": schema, "columns": padded})
    return _COLUMNS_MARK + BLANK + text.encode() + b"\n"


def _column_bytes(content: bytes | bytearray) -> dict[str, tuple[int, int]]:
    """The first and the last byte, plus one, of each column of a file that was just written."""
    metadata = parquet.read_metadata(BytesIO(content))
    found: dict[str, tuple[int, int]] = {}
    if not metadata.num_row_groups:
        return found
    group = metadata.row_group(0)
    for number in range(group.num_columns):
        chunk = group.column(number)
        pages = (chunk.dictionary_page_offset, chunk.data_page_offset)
        start = min(offset for offset in pages if offset)
        name = chunk.path_in_schema.partition(".")[0]
        first, _ = found.get(name, (start, 0))
        found[name] = first, start + chunk.total_compressed_size
    return found


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _encodings(table: pa.Table) -> tuple[list[str], list[str]]:
    """The paths of the columns that are written byte by byte, and those of all others."""
    buffer = BytesIO()
    parquet.write_table(table.slice(0, 0), buffer, store_schema=False)
    schema = parquet.ParquetFile(buffer).schema
    split: list[str] = []
    others: list[str] = []
    for number in range(len(schema)):
        column = schema.column(number)
        floating = column.physical_type in {"FLOAT", "DOUBLE", "FIXED_LEN_BYTE_ARRAY"}
        (split if floating else others).append(column.path)
    return split, others


def _footer_start(end: bytes | bytearray) -> int:
    """The position of the footer in a file or its last bytes; below zero if it is not there."""
    return len(end) - 8 - int.from_bytes(end[-8:-4], "little")


def _digest(content: bytes | bytearray | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()
