"""Parse JSON, JSONL, CSV, TSV and Parquet bytes into tables and text columns."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from gradpipe.benchmarks.fetch import read_bytes
from gradpipe.errors import DataError, nearest
from gradpipe.untrusted.limits import (
    ARCHIVE_ENDINGS,
    archive_refusal,
    check_parquet,
    refuse_archive,
    refuse_large_table,
)

#: Integers that fit an integer column; larger ones become text.
_INT64 = range(-(2**63), 2**63)


def read_table(path: str | Path) -> pl.DataFrame:
    """Read the rows of a local or remote table file, in file order; see ``parse_table``.

    Raises DataError if it is missing, unreachable, malformed, empty or of an unknown kind.
    """
    return parse_table(read_bytes(path), str(path))


def parse_table(data: bytes, name: str) -> pl.DataFrame:
    """Parse the rows of a file's content, in order, by the extension of ``name``.

    JSON is an array of objects, JSONL one object per line. CSV and TSV columns are all text, with
    empty cells null. JSON columns that mix kinds of values, or hold numbers beyond 64 bits, become
    text. Raises DataError for an unknown extension, archives, malformed content, duplicate columns
    or keys, Parquet that unpacks to more than LARGEST_TABLE, and a file without rows.
    """
    extension, parsers = table_extension(name), _parsers()
    if extension in ARCHIVE_ENDINGS:
        raise DataError(archive_refusal(name, extension))
    if extension not in parsers:
        raise DataError(
            f"{name} has the extension {extension!r}, which is not a table's: "
            f"{nearest(extension, list(parsers))}"
        )
    if not data.strip():
        raise DataError(f"{name} is empty: give a file with at least one row.")
    refuse_archive(data, name)
    try:
        if extension == ".parquet":
            check_parquet(BytesIO(data), name)
        table = parsers[extension](data)
    except DataError:
        raise
    # Readers raise many kinds of errors, and a Polars panic is not an Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{name} is not well-formed {extension[1:].upper()} ({_reason(error)}): "
            "fix it, or give it the extension of its real format."
        ) from error
    if table.is_empty():
        raise DataError(f"{name} has no rows: give a file with at least one.")
    refuse_large_table(table, name)
    return table


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    if isinstance(error, MemoryError):
        return "it is larger than the memory there is"
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def table_extension(name: str) -> str:
    """The lowercase extension of a path or URL, which sets how a table file is read."""
    path = urlsplit(name).path if "://" in name else name
    return PurePosixPath(path.replace("\\", "/")).suffix.lower()


def text_column(table: pl.DataFrame, column: str, name: str) -> pl.Series:
    """Convert one column of a table to text: the single rule for values that count as text.

    Numbers, dates and booleans become text as Polars writes them. Nulls become null, and so does
    NaN, which pandas writes for a missing value. Raises DataError, which calls the table ``name``,
    if the column is missing or holds lists, objects or bytes.
    """
    if column not in table.columns:
        raise DataError(f"{name} has no column {column!r}: {nearest(column, table.columns)}")
    series = table.get_column(column)
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"Column {column!r} of {name} holds {series.dtype}, not text: choose a column of "
            "texts, or write each value as one text."
        )
    return (series.fill_nan(None) if series.dtype.is_float() else series).cast(pl.String)


def instruction_column(table: pl.DataFrame, column: str, name: str) -> pl.Series:
    """A text column without nulls; raises DataError with the row number of the first null."""
    series = text_column(table, column, name)
    if series.null_count():
        row = series.is_null().arg_max()
        raise DataError(
            f"Column {column!r} of {name} is null in row {row} (counted from 0): every item needs "
            "an instruction, so fill that row or remove it."
        )
    return series


def join_input(instruction: str, extra: str) -> pl.Expr:
    """The instruction column, with a non-empty ``extra`` column appended after a line break."""
    given = pl.col(extra).fill_null("").str.strip_chars() != ""
    joined = pl.concat_str(instruction, extra, separator="\n")
    return pl.when(given).then(joined).otherwise(pl.col(instruction))


def _parsers() -> dict[str, Callable[[bytes], pl.DataFrame]]:
    return {
        ".json": lambda data: _from_objects(json_objects(data)),
        ".jsonl": lambda data: _from_objects(jsonl_objects(data)),
        ".ndjson": lambda data: _from_objects(jsonl_objects(data)),
        ".csv": lambda data: _from_lines(data, ","),
        ".tsv": lambda data: _from_lines(data, "\t"),
        ".parquet": lambda data: pl.read_parquet(BytesIO(data)),
    }


def json_objects(data: bytes) -> list[dict[str, Any]]:
    """Parse a JSON array of objects; raise ValueError for anything else."""
    rows = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    if not isinstance(rows, list):
        raise ValueError(f"it holds one {type(rows).__name__}, not an array of objects")
    return _objects(rows, "element")


def jsonl_objects(data: bytes) -> list[dict[str, Any]]:
    """Parse JSONL, one object per line; raise ValueError if a line is anything else."""
    rows = []
    # splitlines() would also split at the line separators that JSON allows inside a string.
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line, object_pairs_hook=_unique))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return _objects(rows, "row")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object with unique keys: a duplicate key would silently lose a value."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice[:40]!r} twice")
    return unique


def _from_lines(data: bytes, separator: str) -> pl.DataFrame:
    header = pl.read_csv(
        BytesIO(data), infer_schema=False, separator=separator, has_header=False, n_rows=1
    )
    names = [name for name in header.row(0) if name is not None] if header.height else []
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        # Polars would silently rename the second column.
        raise ValueError(f"two columns are called {twice[:40]!r}")
    return pl.read_csv(BytesIO(data), infer_schema=False, separator=separator)


def _objects(rows: list[Any], what: str) -> list[dict[str, Any]]:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"{what} {number} is a {type(row).__name__}, not an object")
    return rows


def _from_objects(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 or (kinds == {int} and not all(v is None or v in _INT64 for v in values)):
        values = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pl.Series(name, values, strict=False)
