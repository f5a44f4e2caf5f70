"""Checksums (seals) that detect whether a Parquet file changed since it was written.

Parquet's own checksums cover the pages but not the footer, which holds their positions, and Polars
does not verify them. So each file has its own SHA-256 in its footer, computed with zeros where the
digest is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import BytesIO

import polars as pl

from gradpipe.untrusted.parquet_footer import MAGIC, column_chunks, decode

#: Errors that Polars raises for invalid bytes; a panic is not even an Exception.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
#: The name of the footer's entry with the seal, what its value starts with, and what stands for
#: the digest while it is computed.
SEAL, MARK, BLANK = "gradpipe.seal", b"gradpipe-sha256:", b"0" * 64


def sealed_parquet(frame: pl.DataFrame, metadata: Mapping[str, str] | None = None) -> bytes:
    """A frame as the bytes of a Parquet file with its own seal."""
    buffer = BytesIO()
    seal = {SEAL: (MARK + BLANK).decode()}
    frame.write_parquet(buffer, compression="zstd", metadata={**(metadata or {}), **seal})
    return fill_seal(buffer.getvalue())


def fill_seal(content: bytes) -> bytes:
    """A file with its digest in place of BLANK, which follows the last MARK."""
    at = content.rindex(MARK) + len(MARK)
    return content[:at] + _digest(content).encode() + content[at + len(BLANK) :]


def fault_in(content: bytes, schema: pl.Schema | None = None) -> str | None:
    """Return what is wrong with a Parquet file, as the end of "the file …", or None if it is valid.

    ``schema`` has the known columns; an older file may have fewer. A file that was written before
    seals existed is checked by decoding it.
    """
    if not content:
        return "is empty"
    footer = _footer(content)
    if footer is None:
        return "is truncated or not a Parquet file"
    at = content.rfind(MARK, footer)
    # Two texts mark a seal, so that one changed byte cannot hide it.
    sealed = at >= 0 or SEAL.encode() in content[footer:]
    if sealed and (at < 0 or not _is_whole(content, at + len(MARK))):
        return "has changed since it was written"
    try:
        if not sealed:
            # Polars may end the whole process when it reads invalid bytes.
            file = BytesIO(content)
            decode(file, column_chunks(file))
            pl.read_parquet(content)
    except UNREADABLE as error:
        return _unreadable(error)
    return fault_of_schema(content, schema)


def fault_of_schema(content: bytes, schema: pl.Schema | None) -> str | None:
    """Return what is wrong with the columns of a Parquet file, or None, as ``fault_in`` does.

    ``content`` is an intact file, or its last bytes with the whole footer.
    """
    try:
        columns = pl.Schema(pl.read_parquet_schema(content))
    except UNREADABLE as error:
        return _unreadable(error)
    return None if schema is None else _unknown(columns, schema)


def read_part(content: bytes, schema: pl.Schema) -> pl.DataFrame:
    """Read the rows of a file that ``fault_in`` found valid; missing columns are null."""
    return pl.read_parquet(content).match_to_schema(
        schema, missing_columns="insert", missing_struct_fields="insert"
    )


def _unreadable(error: BaseException) -> str:
    reason = str(error).partition("\n")[0].rstrip(".")
    return f"cannot be read: {reason}"


def _footer(content: bytes) -> int | None:
    """The position of a file's footer, or None if it does not start and end as Parquet files do."""
    if not content.startswith(MAGIC) or not content.endswith(MAGIC):
        return None
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return start if start >= len(MAGIC) else None


def _is_whole(content: bytes, at: int) -> bool:
    """Whether the digest at a position matches the rest of the file."""
    blank = content[:at] + BLANK + content[at + len(BLANK) :]
    return content[at : at + len(BLANK)] == _digest(blank).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unknown(columns: pl.Schema, known: pl.Schema) -> str | None:
    """What a file's schema has that this version does not know, as the end of "the file …"."""
    if columns == known:
        return None
    unknown = [name for name in columns if name not in known]
    if unknown:
        return f"has columns that this version of gradpipe does not know ({', '.join(unknown)})"
    for name, dtype in columns.items():
        try:
            pl.DataFrame(schema={name: dtype}).match_to_schema(
                {name: known[name]}, missing_struct_fields="insert"
            )
        except pl.exceptions.PolarsError:
            return f"has a column {name!r} of another kind than this version of gradpipe knows"
    return None
