"""The files that make up one table: their bytes, and their rows as one data frame.

A table is one file, or several of the same format (shards) whose rows follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple

import polars as pl

from gradpipe.errors import DataError
from gradpipe.tables.arrow_rows import frame_of_arrow, read_arrow
from gradpipe.tables.json_rows import (
    JsonRows,
    decode_json_columns,
    frame_of_objects,
    read_json,
    read_jsonl,
)
from gradpipe.tables.kinds import ARROW_KINDS, JSON_KINDS, SEPARATORS, TEXT_KINDS, table_kind
from gradpipe.tables.separators import detect_separator
from gradpipe.tables.text_encoding import to_utf8
from gradpipe.untrusted.compressed import decompress
from gradpipe.untrusted.limits import check_parquet, refuse_archive, refuse_large_table


class TablePart(NamedTuple):
    """One file of a table: its bytes decompressed and, for a text format, in UTF-8."""

    name: str
    extension: str
    data: bytes


def open_part(data: bytes, name: str) -> TablePart:
    """Decompress and decode a file's content by the extension of ``name``.

    Raises DataError for an unknown extension, archives, an empty file and other encodings.
    """
    extension, compression = table_kind(name)
    if compression:
        data = decompress(data, compression, name)
    refuse_archive(data, name)
    if extension in TEXT_KINDS:
        data = to_utf8(data, name)
    if not data.strip():
        raise DataError(f"{name} is empty: give a file with at least one row.")
    return TablePart(name, extension, data)


def frame_of_parts(parts: Sequence[TablePart], name: str) -> pl.DataFrame:
    """The rows of all parts, in order, as one table; ``name`` stands for it in messages.

    Raises DataError for malformed content, duplicate columns or keys, parts whose columns differ,
    more than LARGEST_TABLE, and a table without rows.
    """
    if parts[0].extension in JSON_KINDS:
        rows = [row for part in parts for row in objects_of_part(part).rows]
        with well_formed(parts[0]._replace(name=name)):
            table = frame_of_objects(rows)
    else:
        table = _concatenated([_frame(part) for part in parts], parts)
    if table.is_empty():
        raise DataError(f"{name} has no rows: give a file with at least one.")
    refuse_large_table(table, name)
    return table


def objects_of_part(part: TablePart) -> JsonRows:
    """The objects of a JSON or JSONL file; raises DataError if it is malformed."""
    with well_formed(part):
        return read_json(part.data) if part.extension == ".json" else read_jsonl(part.data)


def separator_of_part(part: TablePart) -> str:
    """The separator of a CSV or TSV file."""
    return detect_separator(part.data, SEPARATORS[part.extension])


@contextmanager
def well_formed(part: TablePart) -> Iterator[None]:
    """Raise DataError for any error of a reader inside the block."""
    try:
        yield
    except DataError:
        raise
    # Readers raise many kinds of errors, and a Polars panic is not an Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{part.name} is not well-formed {part.extension[1:].upper()} ({_reason(error)}): "
            "fix it, or give it the extension of its real format."
        ) from error


def _frame(part: TablePart) -> pl.DataFrame:
    with well_formed(part):
        if part.extension == ".parquet":
            check_parquet(BytesIO(part.data), part.name)
            return decode_json_columns(pl.read_parquet(BytesIO(part.data)))
        if part.extension in ARROW_KINDS:
            return decode_json_columns(frame_of_arrow(read_arrow(part.data, part.name)))
        separator = separator_of_part(part)
        refuse_repeated_names(part.data, separator)
        return frame_of_lines(part.data, separator)


def refuse_repeated_names(data: bytes, separator: str) -> None:
    """Raise ValueError if two columns of CSV have the same name."""
    header = pl.read_csv(
        BytesIO(data), infer_schema=False, separator=separator, has_header=False, n_rows=1
    )
    names = [name for name in header.row(0) if name is not None] if header.height else []
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        # Polars would silently rename the second column.
        raise ValueError(f"two columns are called {twice[:40]!r}")


def frame_of_lines(data: bytes, separator: str) -> pl.DataFrame:
    """Columns of text; empty cells are null."""
    return pl.read_csv(BytesIO(data), infer_schema=False, separator=separator)


def _concatenated(frames: list[pl.DataFrame], parts: Sequence[TablePart]) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    first = frames[0]
    for frame, part in zip(frames, parts, strict=True):
        difference = _difference(first.schema, frame.schema)
        if difference:
            raise DataError(
                f"{parts[0].name} and {part.name} are not parts of one table ({difference}): give "
                "files with the same columns, for example by a pattern such as train-*.csv."
            )
    # Columns in another order are the same columns; one that is all null has no type of its own.
    aligned = [frame.select(first.columns) for frame in frames]
    return pl.concat(aligned, how="vertical_relaxed")


def _difference(first: pl.Schema, other: pl.Schema) -> str:
    missing = [name for name in first if name not in other]
    added = [name for name in other if name not in first]
    if missing or added:
        return f"the column {(missing or added)[0][:40]!r} is only in the {_place(missing)}"
    for name, dtype in first.items():
        if dtype != other[name] and pl.Null not in (dtype, other[name]):
            return f"the column {name[:40]!r} holds {dtype} in one and {other[name]} in the other"
    return ""


def _place(missing: list[str]) -> str:
    return "first" if missing else "second"


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    if isinstance(error, MemoryError):
        return "it is larger than the memory there is"
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
