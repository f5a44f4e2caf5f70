"""All limits on untrusted data files: how much is read, and which files are refused unread.

A file of a few kilobytes can unpack to terabytes: Parquet stores a repeated value once, and
compression does so for any bytes. So the sizes in a Parquet file's footer are checked before the
file is read, the size of a table is checked before it is used, and archives are not unpacked. Arrow
files and compressed texts are checked in ``arrow_messages`` and ``compressed``.
"""

from collections.abc import Collection
from typing import IO

import polars as pl

from gradpipe.errors import DataError
from gradpipe.system.units import format_bytes
from gradpipe.untrusted.parquet_footer import column_chunks, decode

#: Bytes of a data file on disk, and of a table in memory.
LARGEST_FILE = 2**30
LARGEST_TABLE = 2**31
#: Bytes of one line of a page-view dump; a title has 255.
LONGEST_LINE = 2**20
#: Bytes that a value takes in a table at least, even a null.
VALUE_BYTES = 8

#: The first bytes of archives; Polars' CSV reader would unpack some of them by itself.
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
ARCHIVE_ENDINGS = frozenset(
    {".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar"}
)


def refuse_archive(data: bytes, name: str) -> None:
    """Raise DataError if the bytes are those of an archive."""
    kind = next((kind for start, kind in _ARCHIVES.items() if data.startswith(start)), None)
    if kind is not None or data[257:262] == b"ustar":
        raise DataError(archive_refusal(name, kind or "tar"))


def archive_refusal(name: str, kind: str) -> str:
    """Return the message that refuses an archive."""
    return (
        f"{name} is a {kind} archive, which gradpipe does not unpack, since a small archive can "
        "hold more than any disk: unpack it and give the file in it."
    )


def check_parquet(file: IO[bytes], name: str, columns: Collection[str] = ()) -> None:
    """Raise DataError for a Parquet file that unpacks to more than LARGEST_TABLE by its footer.

    With ``columns`` only these count, since only these are read. Then the whole file is decoded.
    Raises DamagedParquetError if it cannot be decoded.
    """
    chunks = [chunk for chunk in column_chunks(file) if not columns or chunk.path[0] in columns]
    refuse_large(sum(max(chunk.unpacked, VALUE_BYTES * chunk.values) for chunk in chunks), name)
    for chunk in chunks:
        # Each text may be as long as all written bytes together.
        if chunk.most > LARGEST_TABLE:
            raise DataError(
                f"{name} encodes the column {chunk.path[0][:40]!r} in a way that can unpack to any "
                "size (DELTA_BYTE_ARRAY): write it with another encoding."
            )
    file.seek(0)
    decode(file, chunks)


def check_parquet_groups(file: IO[bytes], name: str) -> None:
    """Raise DataError for a Parquet file that cannot be read one batch at a time.

    Its columns may unpack to any size together, but no row group's column to more than
    LARGEST_TABLE.
    """
    refuse_large(max((chunk.most for chunk in column_chunks(file)), default=0), name)


def refuse_large_table(table: pl.DataFrame, name: str) -> None:
    """Raise DataError for a table of more than LARGEST_TABLE bytes of texts and values.

    A text that many rows share counts once per row, since it would be read that often.
    """
    refuse_large(int(table.estimated_size()), name)


def refuse_long_line(start: bytes, name: str) -> None:
    """Raise DataError if the start of a line is already longer than LONGEST_LINE."""
    if len(start) > LONGEST_LINE:
        raise DataError(
            f"{name} has a line of more than {format_bytes(LONGEST_LINE)}, which no page-view "
            "dump has: give the dump as Wikimedia publishes it."
        )


def refuse_large(size: int, name: str) -> None:
    """Raise DataError if ``size`` is more bytes than a table may have."""
    if size > LARGEST_TABLE:
        raise DataError(
            f"{name} unpacks to {format_bytes(size)} or more, above the limit of "
            f"{format_bytes(LARGEST_TABLE)}: keep only the columns and rows that are needed, "
            "or split it."
        )
