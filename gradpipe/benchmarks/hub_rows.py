"""The rows of any data set of the hub: only the wanted ones, without running its code.

``datasets`` finds the files of a configuration and reads the text formats. Parquet files are read
here, one buffer at a time: pyarrow's scanner, which ``datasets`` uses for them, downloaded a whole
file of 31 MB for its first ten rows, and crashed the interpreter when a stream was dropped before
its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gradpipe.benchmarks.hub_datasets import (
    HubDataset,
    SplitSlice,
    dataset_refusal,
    parse_split,
)
from gradpipe.benchmarks.remote_parquet import quiet_datasets
from gradpipe.errors import DataError, nearest
from gradpipe.tables.parts import TablePart
from gradpipe.untrusted.limits import refuse_large

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes of a column that are downloaded at a time, and rows that are decoded at a time.
BUFFER_BYTES, BATCH_ROWS = 2**22, 1000


def read_hub_dataset(dataset: HubDataset, offset: int = 0, limit: int | None = None) -> TablePart:
    """Read rows of a pinned data set, without the first ``offset``, at most ``limit``.

    They are a Parquet file, whose metadata has the commit under ``data_revision``. Of Parquet
    files on the hub, neither the row groups before the rows nor what follows them is downloaded.

    Raises DataError if the data set has several configurations or splits and none is named, or not
    the named one; if it needs code, cannot be reached or read, has no such rows, or has more than
    LARGEST_TABLE.
    """
    tables, held = [], 0
    for batch in hub_row_batches(dataset, offset, limit):
        tables.append(batch)
        held += batch.nbytes
        refuse_large(held, f"{dataset}, as far as it was read,")
    return part_of_hub(dataset, tables, offset)


def part_of_hub(dataset: HubDataset, tables: Sequence[pa.Table], offset: int = 0) -> TablePart:
    """The rows that ``hub_row_batches`` yields as a file; raises DataError without rows."""
    import pyarrow as pa

    table = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
    if not table.num_rows:
        start = parse_split(dataset.split).part(offset, None).start
        where = f" from row {start} on: lower the offset" if start else ""
        raise DataError(f"{dataset} has no rows{where or ': choose another split'}.")
    return TablePart(str(dataset), ".parquet", _parquet(table, dataset.revision))


def hub_row_batches(
    dataset: HubDataset, offset: int = 0, limit: int | None = None
) -> Iterator[pa.Table]:
    """The same rows, some at a time. Raises DataError, apart from that for no rows."""
    wanted = parse_split(dataset.split).part(offset, limit)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, quiet_datasets():
        try:
            yield from _batches(dataset, wanted, folder)
        except DataError:
            raise
        # datasets, the hub's client and pyarrow raise errors of many kinds.
        except Exception as error:
            raise dataset_refusal(dataset, error) from error


def _batches(dataset: HubDataset, wanted: SplitSlice, folder: str) -> Iterator[pa.Table]:
    builder = _builder(dataset, folder)
    files = builder.config.data_files or {}
    split = _split(dataset, wanted.split, list(map(str, files)))
    locations = [str(file) for file in files[split]]
    if all(location.endswith(".parquet") for location in locations):
        yield from _parquet_batches(locations, wanted)
    else:
        yield from _streamed_batches(builder, split, wanted)


def _builder(dataset: HubDataset, folder: str) -> Any:
    """What ``datasets`` knows of a configuration; raises DataError if it has to be named."""
    from datasets import get_dataset_config_names, load_dataset_builder

    # Without the prefix, a local folder of that name would be read instead.
    where: Any = {"path": f"hf://datasets/{dataset.name}", "revision": dataset.revision}
    where["cache_dir"] = folder
    try:
        return load_dataset_builder(name=dataset.config, **where)
    except ValueError:
        configs = list(map(str, get_dataset_config_names(**where)))
        if dataset.config is not None and dataset.config not in configs:
            raise DataError(
                f"{dataset} has no configuration {dataset.config!r}: "
                f"{nearest(dataset.config, configs)}"
            ) from None
        if dataset.config is None and len(configs) > 1:
            raise DataError(
                f"{dataset} has several configurations ({_listed(configs)}): choose one with "
                "`config`, on the command line --config."
            ) from None
        raise


def _split(dataset: HubDataset, split: str | None, splits: list[str]) -> str:
    if split is None and len(splits) == 1:
        return splits[0]
    if split is None:
        raise DataError(
            f"{dataset} has several splits ({_listed(splits)}): choose one with `split`, on the "
            "command line --split."
        )
    if split not in splits:
        raise DataError(f"{dataset} has no split {split!r}: {nearest(split, splits)}")
    return split


def _listed(names: Sequence[str], most: int = 40) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")


def _parquet_batches(locations: Sequence[str], wanted: SplitSlice) -> Iterator[pa.Table]:
    """The wanted rows of Parquet files, whose earlier row groups are not downloaded."""
    import pyarrow as pa
    from huggingface_hub import HfFileSystem
    from pyarrow import parquet

    filesystem, passed = HfFileSystem(), 0
    for location in locations:
        # Uncached: pyarrow reads buffers of several columns in turn.
        with filesystem.open(location, "rb", cache_type="none") as content:
            file = parquet.ParquetFile(content, buffer_size=BUFFER_BYTES, pre_buffer=False)
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if wanted.stop is not None and passed >= wanted.stop:
                    return
                if passed + rows > wanted.start:
                    batches = file.iter_batches(BATCH_ROWS, [group], use_threads=False)
                    for batch in _cut(map(_as_table, batches), passed, wanted):
                        yield batch.replace_schema_metadata(_kept(file.schema_arrow))
                passed += rows
    if not passed:
        yield pa.table({})


def _streamed_batches(builder: Any, split: str, wanted: SplitSlice) -> Iterator[pa.Table]:
    """The wanted rows of files of another format, as ``datasets`` reads them."""
    rows = builder.as_streaming_dataset(split=split).with_format("arrow")
    yield from _cut(rows.iter(batch_size=BATCH_ROWS), 0, wanted)


def _cut(batches: Iterator[pa.Table], passed: int, wanted: SplitSlice) -> Iterator[pa.Table]:
    """The wanted rows of ``batches``, the first of which begins with row ``passed``."""
    for batch in batches:
        last = passed + batch.num_rows
        stop = last if wanted.stop is None else min(last, wanted.stop)
        start = max(passed, wanted.start)
        if start < stop:
            yield batch.slice(start - passed, stop - start)
        passed = last
        if wanted.stop is not None and passed >= wanted.stop:
            return


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _kept(schema: pa.Schema) -> dict[bytes, bytes]:
    """The features of ``datasets``, of a Parquet file's metadata."""
    return {key: value for key, value in (schema.metadata or {}).items() if key == b"huggingface"}


def _parquet(table: pa.Table, revision: str | None) -> bytes:
    from pyarrow import parquet

    metadata = {**(table.schema.metadata or {}), b"data_revision": str(revision).encode()}
    buffer = BytesIO()
    parquet.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()
