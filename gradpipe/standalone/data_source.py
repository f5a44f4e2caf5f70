"""The data of a command: the user's table files, or a data set of the hub."""

from __future__ import annotations

import polars as pl

from gradpipe.benchmarks.hub_datasets import HUB_PREFIX, HubDataset
from gradpipe.benchmarks.hub_rows import read_hub_dataset
from gradpipe.benchmarks.shards import read_parts
from gradpipe.errors import DataError
from gradpipe.tables.parts import TablePart, frame_of_parts

#: The path, folder or pattern of table files, or a pinned data set of the hub.
DataSource = str | HubDataset


def find_data(
    data: str, config: str | None = None, split: str | None = None, revision: str | None = None
) -> DataSource:
    """What ``data`` names: ``hub:ORG/NAME``, pinned to the commit of ``revision``, or table files.

    Raises DataError for a data set that the hub does not know at that revision, and if one of the
    others is given for table files.
    """
    if data.startswith(HUB_PREFIX):
        return HubDataset(data.removeprefix(HUB_PREFIX), config, split, revision).pinned()
    given = {"config": config, "split": split, "revision": revision}
    for name, value in given.items():
        if value is not None:
            raise DataError(
                f"--{name} is for a data set of the hub, and {data} is not one: leave it out, or "
                "write hub:ORG/NAME."
            )
    return data


def revision_of(source: DataSource) -> str | None:
    """The commit of a data set of the hub; None for table files."""
    return source.revision if isinstance(source, HubDataset) else None


def parts_of_source(source: DataSource) -> list[TablePart]:
    """All rows of ``source``, as ``read_parts`` returns them; raises DataError."""
    return [read_hub_dataset(source)] if isinstance(source, HubDataset) else read_parts(source)


def rows_of_source(source: DataSource, offset: int = 0, limit: int | None = None) -> pl.DataFrame:
    """The rows of ``source`` without the first ``offset``, at most ``limit``, as a table.

    Of a data set of the hub, only these are downloaded. Raises DataError like ``read_table`` and
    ``read_hub_dataset``, and if ``offset`` skips all rows.
    """
    if isinstance(source, HubDataset):
        return frame_of_parts([read_hub_dataset(source, offset, limit)], str(source))
    table = frame_of_parts(read_parts(source), source)
    if offset >= table.height:
        raise DataError(
            f"{source} has {table.height} rows, so an offset of {offset} skips them all: lower it."
        )
    return table.slice(offset, limit)
