"""Table files as data frames, and their columns as texts."""

from pathlib import Path

import polars as pl

from gradpipe.benchmarks.shards import read_parts
from gradpipe.errors import DataError, nearest
from gradpipe.tables.parts import frame_of_parts, open_part


def read_table(path: str | Path) -> pl.DataFrame:
    """Read the rows of local or remote table files, in order; see ``parse_table``.

    ``path`` is that of a file, of a folder or pattern of shards, or of a folder that
    ``Dataset.save_to_disk`` wrote. Raises DataError if it is missing, unreachable, malformed, empty
    or of an unknown kind.
    """
    return frame_of_parts(read_parts(str(path)), str(path))


def parse_table(data: bytes, name: str) -> pl.DataFrame:
    """Parse the rows of a file's content, in order, by the extension of ``name``.

    JSON is an array of objects, an object with one such array in it, or one object per line, as
    JSONL is. CSV and TSV columns are all text, with empty cells null; ``;``, a tab or ``|`` is
    recognized where the header shows no other separator. JSON columns that mix kinds of values, or
    hold numbers beyond 64 bits, become text. Text formats are in UTF-8, or in UTF-16 with a
    byte-order mark, and may be compressed (.gz, .zst). Parquet, Arrow and Feather keep their types.

    Raises DataError for an unknown extension, archives, other encodings, malformed content,
    duplicate columns or keys, files that unpack to more than the limits, and a file without rows.
    """
    return frame_of_parts([open_part(data, name)], name)


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
