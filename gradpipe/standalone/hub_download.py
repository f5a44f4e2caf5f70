"""The rows of a data set of the hub, downloaded once into a file that is then read as a stream."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.hub_rows import hub_row_batches, part_of_hub
from gradpipe.errors import DataError
from gradpipe.standalone.output_file import write_atomically
from gradpipe.system.hashing import content_hash
from gradpipe.tables.column_streams import ColumnFiles
from gradpipe.tables.streams import TableStream, WholeTable

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that have no more bytes together are in memory.
WHOLE_BYTES = 8 << 20


def open_hub_rows(dataset: HubDataset, offset: int, limit: int | None, folder: Path) -> TableStream:
    """The rows of a pinned data set, which are many if they are in a file in ``folder``.

    A file of an earlier run is read again. Raises DataError like ``read_hub_dataset``.
    """
    name = content_hash(
        dataset.name, dataset.config, dataset.split, dataset.revision, offset, limit
    )
    path = folder / f"{name}.parquet"
    if not path.is_file():
        batches = hub_row_batches(dataset, offset, limit)
        held = _first(batches)
        if sum(batch.nbytes for batch in held) <= WHOLE_BYTES:
            part = part_of_hub(dataset, held, offset)
            return WholeTable(str(dataset), ".parquet", lambda: [part], offset)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda aside: _write(held, batches, dataset, aside))
    stream = ColumnFiles(str(dataset), ".parquet", [path])
    stream.first = offset
    return stream


def _first(batches: Iterable[pa.Table]) -> list[pa.Table]:
    """All batches, or the first ones that have more than WHOLE_BYTES together."""
    held, size = [], 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size > WHOLE_BYTES:
            break
    return held


def _write(held: list[pa.Table], more: Iterable[pa.Table], dataset: HubDataset, path: Path) -> None:
    """Write all batches, with the types of the first ones together."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.unify_schemas([batch.schema for batch in held], promote_options="default")
    metadata = {**(held[0].schema.metadata or {}), b"data_revision": str(dataset.revision).encode()}
    schema = schema.with_metadata(metadata)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in chain(held, more):
            try:
                table = pa.concat_tables(
                    [schema.empty_table(), batch.replace_schema_metadata(metadata)],
                    promote_options="default",
                ).cast(schema)
            except (pa.ArrowException, ValueError) as error:
                raise DataError(
                    f"{dataset} has rows of different types ({error}): choose others by --split."
                ) from error
            writer.write_table(table)
