"""What every source of benchmarks provides."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

import polars as pl

from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.errors import DataError, nearest

Settings = TypeVar("Settings", bound=BenchmarkSettings)


class Source(ABC, Generic[Settings]):
    """A source of benchmarks: its settings, the benchmarks it knows, and how it reads them."""

    #: Its name in a study, as in ``source: hub``.
    name: ClassVar[str]
    #: The settings that it reads. Settings of other sources are rejected.
    settings: ClassVar[type[BenchmarkSettings]] = BenchmarkSettings
    #: The family of each benchmark that it knows; if empty, it accepts any name.
    families: ClassVar[Mapping[str, str]] = {}
    #: Whether a study may give only a benchmark's name to read it from this source.
    implied_by_name: ClassVar[bool] = False
    #: Whether it reads the styles that a study declares from columns of tables.
    reads_own_styles: ClassVar[bool] = False

    @abstractmethod
    def content(self, config: Settings) -> dict[str, str]:
        """Identify the data that ``read`` would read: the result changes when the data changes.

        It must be cheap: it may read local files, but it downloads nothing. Raises DataError if the
        data is missing or unreachable.
        """

    @abstractmethod
    def read(self, config: Settings) -> pl.DataFrame:
        """Read every row of the benchmark as an item (ITEM_SCHEMA), in the order of the source.

        Raises DataError for data that is missing, altered or malformed.
        """

    def revision(self, config: Settings) -> str | None:
        """The commit that ``read`` would read, if only its metadata tells; else None."""
        return None

    def check(self, config: Settings) -> None:
        """Raise DataError for settings that contradict each other; called before any reading."""

    def family(self, config: Settings) -> str | None:
        """The family of a benchmark: the one it sets, else the one that the source knows."""
        return config.family or self.families.get(config.name)

    def check_name(self, benchmark: str) -> None:
        """Raise DataError if the source has no benchmark of this name."""
        if self.families and benchmark not in self.families:
            raise DataError(
                f"the source {self.name!r} has no benchmark {benchmark!r}: "
                f"{nearest(benchmark, list(self.families))}"
            )
