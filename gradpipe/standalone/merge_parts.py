"""``gradpipe merge``: tables of parts of one data file, joined in the order of their rows."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyarrow import parquet

from gradpipe.errors import DataError
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.standalone.output_file import check_writable
from gradpipe.standalone.shard_files import spectra_files
from gradpipe.standalone.spectra_file import MATRICES_AT_ONCE, hashes_of_parts, readable_spectra
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.standalone.spectra_writer import file_metadata, listed_unusable, spectra_file

#: What all parts must have in common.
_COMMON = ("extraction", "model", "protocol", "data_revision")


@dataclass(frozen=True)
class MergePart:
    """One file of a part: its metadata, and the numbers of its rows in the data, ascending."""

    path: Path
    metadata: Mapping[str, str]
    rows: NDArray[np.int64]

    @property
    def first(self) -> int:
        """The number of its first row."""
        return int(self.rows[0])

    @property
    def last(self) -> int:
        """The number of its last row."""
        return int(self.rows[-1])


def merge_spectra(paths: Sequence[Path], out: Path) -> tuple[int, int]:
    """Join tables that ``gradpipe extract`` wrote for different rows of one data file.

    Rows follow each other by ``example``, whatever the order of ``paths``, each of which may be a
    folder of shards. Returns the number of usable examples and that of unusable rows.

    Raises DataError, and writes nothing, if a table is none of ``gradpipe extract``, they are of
    different models, protocols or versions, or two have the same row.
    """
    check_writable(out)
    parts = [_part(file) for path in paths for file in spectra_files(path)]
    parts = sorted((part for part in parts if len(part.rows)), key=lambda part: part.first)
    if not parts:
        raise DataError("There is nothing to merge: the tables have no rows.")
    _check_same(parts)
    _check_apart(parts)
    unusable = sorted(row for part in parts for row in listed_unusable(part.metadata))
    rows = sum(len(part.rows) for part in parts)
    with spectra_file(out) as writer:
        writer.write(spectra_table(pl.DataFrame(schema=ROW_SCHEMA)))
        for group in _overlapping(parts):
            for table in _in_order(group):
                writer.write(table)
        metadata = {name: parts[0].metadata[name] for name in _COMMON if name in parts[0].metadata}
        writer.finish(
            {
                **metadata,
                "unusable": json.dumps(unusable),
                "rows": str(rows),
                "merged": json.dumps(_hashes(parts)),
            }
        )
    return rows - len(unusable), len(unusable)


def _part(path: Path) -> MergePart:
    with readable_spectra(path):
        metadata = file_metadata(path)
        numbers = [np.zeros(0, np.int64)]
        for batch in parquet.ParquetFile(path).iter_batches(2**18, columns=["example"]):
            numbers.append(np.unique(batch.column(0).to_numpy()))
    if "extraction" not in metadata:
        raise DataError(
            f"{path} does not say which model and protocol it is of, since it is none of "
            "`gradpipe extract` or of an earlier version: extract it again."
        )
    unusable = np.array([row for row, _ in listed_unusable(metadata)], np.int64)
    return MergePart(path, metadata, np.unique(np.concatenate([*numbers, unusable])))


def _check_same(parts: Sequence[MergePart]) -> None:
    first = parts[0]
    for part in parts[1:]:
        for name, what in zip(
            ("model", "protocol", "extraction", "data_revision"),
            ("model", "protocol", "model's files or gradpipe's version", "commit of the data"),
            strict=True,
        ):
            # The same model may have other names on other machines.
            if name != "model" and part.metadata.get(name) != first.metadata.get(name):
                raise DataError(
                    f"{first.path} and {part.path} are not of the same {what}: extract all parts "
                    "with the same ones."
                )


def _check_apart(parts: Sequence[MergePart]) -> None:
    for number, part in enumerate(parts):
        for other in parts[number + 1 :]:
            if other.first > part.last:
                break
            both = np.intersect1d(part.rows, other.rows)
            if len(both):
                raise DataError(
                    f"{part.path} and {other.path} both have row {both[0]}: give parts of "
                    "different rows."
                )


def _overlapping(parts: Sequence[MergePart]) -> list[list[MergePart]]:
    """Groups of parts whose rows alternate; most have one part."""
    groups: list[list[MergePart]] = []
    last = -1
    for part in parts:
        if groups and part.first < last:
            groups[-1].append(part)
        else:
            groups.append([part])
        last = max(last, part.last)
    return groups


def _hashes(parts: Sequence[MergePart]) -> list[tuple[int, str]] | None:
    """The number of rows and the hash of the texts of each part, unless rows alternate."""
    if len(_overlapping(parts)) < len(parts):
        return None
    hashes: list[tuple[int, str]] = []
    for part in parts:
        for rows, pairs in hashes_of_parts(part.path) or [(None, None)]:
            if rows is None or pairs is None:
                return None
            hashes.append((rows, pairs))
    return hashes


def _in_order(parts: Sequence[MergePart]) -> Iterator[pl.DataFrame]:
    """The rows of all parts by example; a batch of each part is in memory."""
    tables = heapq.merge(
        *(_examples(part, place) for place, part in enumerate(parts)), key=lambda entry: entry[:2]
    )
    for _, _, table in tables:
        yield table


def _examples(part: MergePart, place: int) -> Iterator[tuple[int, int, pl.DataFrame]]:
    """The rows of a part, a run of examples at a time, after the number of the first of them."""
    held = pl.DataFrame()
    for batch in parquet.ParquetFile(part.path).iter_batches(MATRICES_AT_ONCE):
        table = pl.DataFrame(batch)
        table = pl.concat([held, table]) if held.height else table
        last = pl.col("example") == pl.col("example").last()
        held = table.filter(last)
        for run in _runs(table.filter(~last)):
            yield int(run["example"][0]), place, run
    for run in _runs(held):
        yield int(run["example"][0]), place, run


def _runs(table: pl.DataFrame) -> list[pl.DataFrame]:
    """A table divided where a number of an example is skipped: rows of another part may follow."""
    gap = (pl.col("example").diff().fill_null(0) > 1).cum_sum()
    return table.with_columns(gap.alias("run")).partition_by(
        "run", maintain_order=True, include_key=False
    )
