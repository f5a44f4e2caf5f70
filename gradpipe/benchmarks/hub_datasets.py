"""The name of a data set of the hub, with its configuration, split and revision."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from gradpipe.benchmarks.repository import commit_of
from gradpipe.errors import DataError
from gradpipe.system.failures import (
    Cause,
    caused_by,
    connection_failed,
    error_chain,
    failed_with,
)

#: What a data set of the hub begins with where a path could stand too.
HUB_PREFIX = "hub:"
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_SPLIT = re.compile(r"([\w.-]+)(?:\[(\d*):(\d*)\])?", re.ASCII)


class SplitSlice(NamedTuple):
    """Rows of a split: those from ``start`` up to but not ``stop``, or to its end."""

    split: str | None
    start: int = 0
    stop: int | None = None

    def part(self, offset: int, limit: int | None) -> SplitSlice:
        """The rows of the slice without its first ``offset``, at most ``limit``."""
        start = self.start + offset
        ends = [end for end in (self.stop, None if limit is None else start + limit) if end]
        return self._replace(start=start, stop=min(ends, default=None))


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub, as ``name`` (ORG/NAME) and as far as it is given.

    ``split`` may end in a slice of rows: ``train[:500]`` or ``train[100:200]``.
    """

    name: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return f"{HUB_PREFIX}{self.name}"

    def pinned(self) -> HubDataset:
        """The same data set at the commit of its revision, by default that of ``main``.

        Raises DataError for a name or split of another form, and if the hub does not know the
        revision or cannot be reached.
        """
        require_dataset_name(self.name)
        parse_split(self.split)
        wanted = replace(self, revision=self.revision or "main")
        try:
            return replace(self, revision=commit_of(self.name, str(wanted.revision)))
        except Exception as error:
            raise dataset_refusal(wanted, error) from error


def is_dataset_name(name: str) -> bool:
    """Whether ``name`` is of the form ORG/NAME, as the path of a folder may be too."""
    return _NAME.fullmatch(name) is not None


def require_dataset_name(name: str) -> None:
    """Raise DataError unless ``name`` is of the form ORG/NAME."""
    if not is_dataset_name(name):
        raise DataError(
            f"{name!r} is not the name of a data set on the hub: write ORG/NAME, for example "
            "tatsu-lab/alpaca."
        )


def parse_split(text: str | None) -> SplitSlice:
    """Parse the name of a split, with or without a slice; raises DataError for anything else."""
    if text is None:
        return SplitSlice(None)
    found = _SPLIT.fullmatch(text.strip())
    start, stop = (int(end) if end else None for end in (found[2], found[3])) if found else (0, 0)
    if found is None or (stop is not None and stop <= (start or 0)):
        raise DataError(
            f"The split {text!r} is not one that is read here: write its name, or its name and "
            "a slice of row numbers such as train[:500] or train[100:200], without percent signs, "
            "negative numbers or sums."
        )
    return SplitSlice(found[1], start or 0, stop)


def dataset_refusal(dataset: HubDataset, error: Exception) -> DataError:
    """Build the error for a data set that could not be found or read, with its cause and fix."""
    chain = list(error_chain(error))
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    place = f"{dataset} at its revision {dataset.revision}"
    if any("scripts are no longer supported" in str(link) for link in chain):
        return DataError(
            f"{place} needs code of its repository, which is never run: give the revision "
            "refs/convert/parquet, where the hub keeps the rows of many data sets as Parquet "
            "files, or another data set."
        )
    if kinds & {"EmptyDatasetError", "DataFilesNotFoundError"}:
        return DataError(f"{place} has no data files of a known format: check the name.")
    if caused_by(error, Cause.NOT_ON_HUB) or "DatasetNotFoundError" in kinds:
        return DataError(
            f"{place} is not on the hub, or is private: check the name and the revision, and put "
            "a token that may read it into the environment variable HF_TOKEN."
        )
    said = " ".join(str(chain[-1]).split()).rstrip(".")[:200] or type(chain[-1]).__name__
    unreachable = connection_failed(error) or any(
        failed_with(link, Cause.SERVER_BUSY) for link in chain
    )
    cure = "check the connection" if unreachable else "check the data set's page on the hub"
    return DataError(
        f"{place} cannot be read ({said}): {cure}, or download its files and give their folder.",
        transient=unreachable,
    )
