"""The rows of a command's data as a stream, and the part of them that a command uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.hub_rows import read_hub_dataset
from gradpipe.benchmarks.shards import table_locations
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource, parts_of_source
from gradpipe.standalone.hub_download import WHOLE_BYTES, open_hub_rows
from gradpipe.standalone.row_conditions import parse_condition
from gradpipe.tables.column_streams import ColumnFiles
from gradpipe.tables.kinds import ARROW_KINDS, SEPARATORS, is_table_name, table_kind
from gradpipe.tables.line_streams import JsonLines, SeparatedLines
from gradpipe.tables.streams import TableStream, WholeTable

#: Rows that are read at a time.
BATCH_ROWS = 2048
#: How a text begins that is not in UTF-8, or is compressed: such files are read whole.
_OTHER_BEGINNINGS = (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, kw_only=True)
class RowSelection:
    """Which rows of the data a command uses.

    The first ``offset`` rows are skipped, then at most ``limit`` are read; of these, the ones for
    which ``where``, a Polars SQL expression over the columns of the data, is true.
    """

    offset: int = 0
    limit: int | None = None
    where: str | None = None

    @property
    def all(self) -> bool:
        """Whether all rows are used."""
        return self == RowSelection()


ALL_ROWS = RowSelection()


def open_data(
    source: DataSource, selection: RowSelection = ALL_ROWS, downloads: Path | None = None
) -> TableStream:
    """The rows of ``source``: a stream of local files that are large, and otherwise whole.

    Of a data set of the hub, only the rows of ``selection`` are downloaded: at once into the folder
    ``downloads`` if it is given and they are many. Raises DataError like ``table_locations``.
    """
    if isinstance(source, HubDataset):
        if downloads is not None:
            return open_hub_rows(source, selection.offset, selection.limit, downloads)
        first, limit = selection.offset, selection.limit
        return WholeTable(
            str(source), ".parquet", lambda: [read_hub_dataset(source, first, limit)], first
        )
    return _open_files(source)


def _open_files(source: str) -> TableStream:
    locations = table_locations(source)
    if not is_table_name(locations[0]):
        # Reading it says whether the name or the file is wrong.
        return WholeTable(source, "", lambda: parts_of_source(source))
    kind = table_kind(locations[0])
    if _can_stream(locations, kind.compression):
        files = [_local_path(location) for location in locations]
        if kind.extension in SEPARATORS:
            return SeparatedLines(source, kind.extension, files)
        if kind.extension in (".jsonl", ".ndjson"):
            return JsonLines(source, files)
        if kind.extension in (".parquet", *ARROW_KINDS):
            return ColumnFiles(source, kind.extension, files)
    return WholeTable(source, kind.extension, lambda: parts_of_source(source))


def _can_stream(locations: list[str], compression: str) -> bool:
    """Whether the files are local, plain and together large."""
    if compression or any(map(is_remote, locations)):
        return False
    files = list(map(_local_path, locations))
    try:
        if not all(file.is_file() for file in files):
            return False
        if sum(file.stat().st_size for file in files) <= WHOLE_BYTES:
            return False
        return not any(_begins_otherwise(file) for file in files)
    except OSError:
        # Reading the file whole says what is wrong with it.
        return False


def _begins_otherwise(file: Path) -> bool:
    with file.open("rb") as content:
        start = content.read(16)
    text = not start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"))
    return start.startswith(_OTHER_BEGINNINGS) or (text and b"\0" in start)


def _local_path(location: str) -> Path:
    return Path(re.sub(r"^(file|local)://", "", location)).expanduser()


def numbered_batches(
    stream: TableStream, selection: RowSelection, rows: int = BATCH_ROWS
) -> Iterator[tuple[list[int], pl.DataFrame]]:
    """The selected rows, a batch at a time: their numbers in the data, and a frame of them.

    Raises DataError for malformed data, if the offset skips all rows, and for an expression that is
    invalid, has an aggregate or names an unknown column.
    """
    first = selection.offset
    stop = None if selection.limit is None else first + selection.limit
    condition = None if selection.where is None else parse_condition(selection.where)
    passed = stream.first
    known: dict[str, None] = {}
    for batch in stream.batches(rows):
        known |= dict.fromkeys(batch.columns)
        start, end = max(first - passed, 0), batch.height
        if stop is not None:
            end = min(end, stop - passed)
        numbers = range(passed + start, passed + end)
        passed += batch.height
        if numbers:
            yield _selected(batch.slice(start, end - start), numbers, condition, list(known))
        if stop is not None and passed >= stop:
            return
    if first >= passed:
        raise DataError(
            f"{stream.name} has {passed} rows, so an offset of {first} skips them all: lower it."
        )


def _selected(
    batch: pl.DataFrame, numbers: range, condition: pl.Expr | None, columns: list[str]
) -> tuple[list[int], pl.DataFrame]:
    """The rows of a batch for which the condition holds, with all columns that are known so far."""
    missing = [pl.lit(None).alias(name) for name in columns if name not in batch.columns]
    batch = batch.with_columns(missing)
    if condition is None:
        return list(numbers), batch
    try:
        holds = batch.select(condition.cast(pl.Boolean, strict=True).alias("holds")).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"--where cannot be evaluated ({reason}): write a condition over the columns "
            f"{', '.join(columns)}, for example \"source = 'gsm8k'\"."
        ) from error
    chosen = holds.fill_null(value=False)
    if len(chosen) != batch.height:
        # A constant.
        raise DataError("--where has no value per row: compare a column in it.")
    return [number for number, is_in in zip(numbers, chosen, strict=True) if is_in], batch.filter(
        chosen
    )
