"""Data that a user names, as a benchmark of a study: looked at, as far as it can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from gradpipe.benchmarks.catalog import built_in_benchmarks, find_built_in
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HUB_PREFIX, HubDataset, require_dataset_name
from gradpipe.benchmarks.items import ready_made
from gradpipe.benchmarks.sources.hub import HUB_FILES
from gradpipe.benchmarks.table_files import text_column
from gradpipe.benchmarks.table_items import table_items
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource, find_data, rows_of_source
from gradpipe.studies.new_study.table_columns import (
    free_columns,
    guess_columns,
    guess_family,
    named_columns,
)
from gradpipe.studies.study_styles import StudyStyles, known_styles
from gradpipe.styles import sorted_styles, uncut_style

#: Rows of a data set of the hub that are downloaded to see its columns.
HUB_ROWS = 20
#: What only paths, patterns and addresses have.
_LIKE_A_FILE = re.compile(r"[*?/.\\~]")
_NOT_IN_NAMES = re.compile(r"[^\w-]+")
_SUFFIXES = re.compile(r"(\.(jsonl?|ndjson|csv|tsv|parquet|arrow|feather|gz|zst))+$", re.IGNORECASE)


@dataclass(frozen=True)
class DataEntry:
    """A benchmark of a study: the ``setting`` to write, and what the data hold.

    ``items`` and ``styles`` are None and empty if the data were not read. ``free`` are columns that
    may hold responses and have no use.
    """

    setting: str | dict[str, Any]
    name: str
    styles: tuple[str, ...] = ()
    items: int | None = None
    rejected: bool = False
    origin: str = ""
    free: tuple[str, ...] = ()

    def sentence(self) -> str:
        """What the data hold, as a phrase without a full stop."""
        parts = [self.origin] if self.origin else []
        if self.items is not None:
            parts.append(f"{self.items:,} item{'' if self.items == 1 else 's'}")
        if self.styles:
            parts.append(f"style{'' if len(self.styles) == 1 else 's'} {', '.join(self.styles)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class HubRows:
    """Which rows of data sets of the hub: their configuration, split and revision."""

    config: str | None = None
    split: str | None = None
    revision: str | None = None

    def given(self) -> dict[str, str]:
        """The settings that the user gave."""
        named = {"config": self.config, "split": self.split, "revision": self.revision}
        return {name: value for name, value in named.items() if value is not None}


def find_data_entry(
    data: str,
    folder: Path | None,
    *,
    name: str = "",
    columns: Mapping[str, str] | None = None,
    hub: HubRows | None = None,
    styles: StudyStyles | None = None,
) -> DataEntry:
    """The benchmark that ``data`` is: a built-in one, a data set of the hub, or table files.

    Args:
        data: The name of a built-in benchmark, ``hub:ORG/NAME``, or what ``read_table`` reads.
        folder: Where relative paths of the study start; None for a study of absolute paths.
        name: The benchmark's name; by default made of the data's.
        columns: The columns of roles and of response styles; by default by their names.
        hub: The rows of a data set of the hub.
        styles: The styles of the study, which may declare its own.

    Raises DataError if the data cannot be found or read, or have no usable columns.
    """
    if data.startswith(HUB_PREFIX):
        return _hub_entry(data.removeprefix(HUB_PREFIX), name, columns, hub or HubRows(), styles)
    if is_built_in(data):
        known = find_built_in(data)
        if name not in ("", data):
            raise DataError(
                f"{data} is a built-in benchmark and keeps its name: leave out the name."
            )
        given = [*(["columns"] if columns else []), *(hub or HubRows()).given()]
        if given:
            raise DataError(
                f"--{given[0]} has no effect on {data}, which is a built-in benchmark: leave it "
                f"out, or write ./{data} if you mean a file."
            )
        return DataEntry(data, data, known.styles, known.items, origin="built in")
    source = find_data(data, **(hub or HubRows()).given())
    path = data if is_remote(data) else study_path(data, folder)
    setting = {"name": name or data_name(data), "source": "files", "path": path}
    table = rows_of_source(source)
    return _entry_of_table(setting, table, columns, data, styles)


def is_built_in(data: str) -> bool:
    """Whether ``data`` is read as the name of a built-in benchmark, which may not exist."""
    own = data.startswith(HUB_PREFIX) or _LIKE_A_FILE.search(data) or Path(data).exists()
    return not own


def _hub_entry(
    dataset: str,
    name: str,
    columns: Mapping[str, str] | None,
    rows: HubRows,
    styles: StudyStyles | None,
) -> DataEntry:
    require_dataset_name(dataset)
    chosen = HubRows(rows.config, rows.split or "train", rows.revision)
    if name in HUB_FILES:
        raise DataError(
            f"{name} is a built-in benchmark of the hub: give the data set {dataset} another name, "
            f"such as {data_name(dataset.replace('/', '-'))}."
        )
    setting = {"name": name or _dataset_name(dataset), "source": "hub", "path": dataset}
    source: DataSource = HubDataset(dataset, chosen.config, chosen.split, chosen.revision).pinned()
    table = rows_of_source(source, 0, HUB_ROWS)
    given = setting | chosen.given()
    entry = _entry_of_table(given, table, columns, f"{HUB_PREFIX}{dataset}", styles)
    return replace(entry, items=None)


def _entry_of_table(
    setting: dict[str, Any],
    table: pl.DataFrame,
    columns: Mapping[str, str] | None,
    data: str,
    styles: StudyStyles | None,
) -> DataEntry:
    declared = styles.columns(styles) if styles else {}
    own = {style: column for style, column in declared.items() if column in table.columns}
    guessed = {} if columns else guess_columns(table.columns, own.values())
    found = named_columns(columns, known_styles(styles)) if columns else guessed
    setting = setting | ({"columns": found} if found else {})
    try:
        config = BenchmarkConfig.model_validate(setting)
    except ValidationError as error:
        fault = error.errors()[0]
        raise DataError(
            f"The benchmark's {'.'.join(map(str, fault['loc']))!r} is invalid "
            f"({fault['msg'].lower()}): correct it."
        ) from error
    named = config.columns.responses
    if config.columns.style is not None:
        values = set(text_column(table, config.columns.style, data))
        own = {style: value for style, value in declared.items() if value in values}
    else:
        own |= {style: column for style, column in declared.items() if style in named}
    rows = table_items(table, config.with_own_styles(own), data, None)
    responses = ready_made(rows)
    present = set(responses["style"])
    # The first rows of a data set may have only some of the styles.
    partial = config.source == "hub" and config.columns.style is not None
    if declared.keys() - own and not partial:
        # A run would miss the styles that the table does not have, and cuts of their responses.
        missing = declared.keys() - own
        names = [s for s in styles or () if not {s, uncut_style(s, declared)} & missing]
        if usable := names or sorted_styles(present):
            setting["styles"] = usable
    if (family := guess_family(rows["answer"])) is not None:
        setting["family"] = family
    return DataEntry(
        setting=setting,
        name=config.name,
        styles=tuple(sorted_styles(present)),
        items=rows.height,
        rejected="rejected" in set(responses["relevance"]),
        origin=data,
        free=() if config.columns.style else tuple(free_columns(table, _used(config, own))),
    )


def _used(config: BenchmarkConfig, own: Mapping[str, str]) -> list[str]:
    """The columns with a role or the responses of a style."""
    columns = config.columns
    named = [*columns.roles().values(), *columns.responses.values()]
    return [columns.instruction, *named, *own.values()]


def _dataset_name(dataset: str) -> str:
    """A short name for a data set of the hub that no built-in benchmark has."""
    short = data_name(dataset)
    taken = {one.name for one in built_in_benchmarks()}
    return data_name(dataset.replace("/", "-")) if short in taken else short


def data_name(data: str) -> str:
    """A short name for data: that of the file, folder or data set, without its extensions."""
    last = data.rstrip("/").replace("\\", "/").rpartition("/")[2]
    return _NOT_IN_NAMES.sub("-", _SUFFIXES.sub("", last)).strip("-")[:40] or "data"


def study_path(path: str, folder: Path | None) -> str:
    """A local path as a study in ``folder`` writes it: relative if it is below, else absolute.

    Raises DataError for a path that cannot be resolved.
    """
    try:
        absolute = Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"The path {path!r} is invalid ({error}): correct it.") from error
    if folder is not None:
        # The same file by the path without links, since the study's folder may be given without.
        for place in (absolute, absolute.parent.resolve() / absolute.name):
            if ".." not in place.parts and place.is_relative_to(folder.absolute()):
                return f"./{place.relative_to(folder.absolute()).as_posix()}"
    return str(absolute)
