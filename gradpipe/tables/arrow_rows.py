"""Arrow and Parquet files as pyarrow tables, which keep their schema and its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import polars as pl

from gradpipe.untrusted.arrow_messages import FILE_MAGIC, check_arrow
from gradpipe.untrusted.limits import refuse_large
from gradpipe.untrusted.shared_texts import shared_size, without_views

if TYPE_CHECKING:
    import pyarrow as pa


def read_arrow(data: bytes, name: str) -> pa.Table:
    """Read an Arrow file (Feather too) or an Arrow stream, as ``datasets`` saves it.

    The text views that Polars writes become texts with offsets, which all programs read.
    Raises DataError if it unpacks to more than LARGEST_TABLE, and an error of pyarrow or a
    ValueError if it is damaged.
    """
    # Not at the top: `import definitions` stays quick.
    from pyarrow import BufferReader, ipc

    check_arrow(data, name)
    open_table = ipc.open_file if data.startswith(FILE_MAGIC) else ipc.open_stream
    table = open_table(BufferReader(data)).read_all()
    # Without it, a damaged file's offsets would be followed out of its memory.
    table.validate(full=True)
    refuse_large(shared_size(table), name)
    return without_views(table)


def read_parquet_rows(data: bytes) -> pa.Table:
    """Read a Parquet file that ``check_parquet`` has passed."""
    from pyarrow import parquet

    return parquet.read_table(BytesIO(data))


def frame_of_arrow(table: pa.Table) -> pl.DataFrame:
    """A pyarrow table as a data frame; raises a Polars error for types that it does not have."""
    return pl.DataFrame(pl.from_arrow(table))


def reordered(table: pa.Table, order: Sequence[int], columns: pl.DataFrame) -> pa.Table:
    """The rows that ``order`` lists, with more ``columns``; types and metadata are kept.

    A pandas index that is a range becomes a column, unless it only numbers the rows from 0.
    """
    import pyarrow as pa

    table = with_index_column(table, 0, table.num_rows)
    return with_more_columns(table.take(pa.array(order, pa.int64())), columns)


def with_more_columns(table: pa.Table, columns: pl.DataFrame) -> pa.Table:
    """The rows of a table with more ``columns``."""
    import pyarrow as pa

    for series in columns:
        column = series.to_arrow()
        # pandas and datasets write texts as `string`; Polars writes larger ones.
        kind = pa.string() if series.dtype == pl.String else column.type
        table = table.append_column(pa.field(series.name, kind), column.cast(kind))
    return table


def write_arrow(table: pa.Table, as_file: bool) -> bytes:
    """A table in the Arrow file format, or as an Arrow stream."""
    from pyarrow import ipc

    buffer = BytesIO()
    with (ipc.new_file if as_file else ipc.new_stream)(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def write_parquet_rows(table: pa.Table) -> bytes:
    """A table as a Parquet file, with its schema's metadata."""
    from pyarrow import parquet

    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def with_index_column(table: pa.Table, first: int, rows: int) -> pa.Table:
    """Write out a range that is a pandas index: the rows are about to change places.

    ``table`` are the rows from ``first`` on of a table with ``rows`` rows.
    """
    import pyarrow as pa

    metadata = table.schema.metadata or {}
    pandas = _pandas_metadata(metadata.get(b"pandas", b""))
    ranges = [entry for entry in pandas.get("index_columns", []) if isinstance(entry, dict)]
    if len(ranges) != 1 or ranges[0].get("kind") != "range":
        return table
    index = [ranges[0].get(key) for key in ("start", "stop", "step")]
    numbers = [number for number in index if isinstance(number, int)]
    if len(numbers) < 3 or not numbers[2]:
        return table
    values, name = range(*numbers), "__index_level_0__"
    if values == range(rows) or len(values) != rows:
        return table
    if name in table.column_names:
        return table
    column = {"name": ranges[0].get("name"), "field_name": name, "metadata": None}
    column |= {"pandas_type": "int64", "numpy_type": "int64"}
    pandas |= {"index_columns": [name], "columns": [*pandas.get("columns", []), column]}
    own = values[first : first + table.num_rows]
    table = table.append_column(name, pa.array(own, pa.int64()))
    return table.replace_schema_metadata({**metadata, b"pandas": json.dumps(pandas).encode()})


def _pandas_metadata(content: bytes) -> dict[str, Any]:
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
