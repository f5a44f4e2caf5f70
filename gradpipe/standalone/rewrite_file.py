"""Write a user's table again in another order and with more columns."""

from collections.abc import Sequence
from io import BytesIO

import polars as pl

from gradpipe.tables.arrow_rows import (
    read_arrow,
    read_parquet_rows,
    reordered,
    write_arrow,
    write_parquet_rows,
)
from gradpipe.tables.kinds import JSON_KINDS, SEPARATORS
from gradpipe.tables.parts import (
    TablePart,
    frame_of_parts,
    objects_of_part,
    separator_of_part,
    well_formed,
)
from gradpipe.untrusted.arrow_messages import FILE_MAGIC


def rewrite_rows(parts: Sequence[TablePart], order: Sequence[int], columns: pl.DataFrame) -> bytes:
    """A file in the format of ``parts`` with the rows that ``order`` lists, in order.

    ``parts`` are what ``frame_of_parts`` reads; ``columns``, one row per entry of ``order``, is
    added. The rows keep their content: JSON objects their nesting and optional keys, CSV cells
    their text and separator, Parquet and Arrow columns their types and the schema's metadata.
    """
    extension = parts[0].extension
    if extension in JSON_KINDS:
        return _json(parts, order, columns)
    if extension in SEPARATORS:
        table = frame_of_parts(parts, parts[0].name)[list(order)].hstack(columns)
        buffer = BytesIO()
        table.write_csv(buffer, separator=separator_of_part(parts[0]))
        return buffer.getvalue()
    return _arrow(parts, order, columns)


def _json(parts: Sequence[TablePart], order: Sequence[int], columns: pl.DataFrame) -> bytes:
    files = [objects_of_part(part) for part in parts]
    objects = [row for file in files for row in file.rows]
    rows = [
        {**objects[number], **more}
        for number, more in zip(order, columns.iter_rows(named=True), strict=True)
    ]
    return files[0].write(rows).encode()


def _arrow(parts: Sequence[TablePart], order: Sequence[int], columns: pl.DataFrame) -> bytes:
    # Not at the top: text formats need no pyarrow.
    import pyarrow as pa

    packed = parts[0].extension == ".parquet"
    with well_formed(parts[0]):
        tables = [
            read_parquet_rows(part.data) if packed else read_arrow(part.data, part.name)
            for part in parts
        ]
        names = tables[0].column_names
        whole = pa.concat_tables(
            [table.select(names) for table in tables], promote_options="default"
        )
        rows = reordered(whole, order, columns)
        if packed:
            return write_parquet_rows(rows)
        return write_arrow(rows, as_file=parts[0].data.startswith(FILE_MAGIC))
