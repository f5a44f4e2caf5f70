"""The rows of table files in batches, so that a table of any size fits in memory.

Small tables are read whole, as ``parts`` reads them; so are JSON arrays, which have no rows before
their end. Of larger files, ``line_streams`` reads the text formats and ``column_streams`` the
columnar ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import polars as pl

from gradpipe.tables.parts import TablePart, frame_of_parts


class TableStream(ABC):
    """The rows of one table in order, any number of times.

    ``name`` stands for the table in messages, ``extension`` is that of its format. ``whole``: the
    table is in memory. ``first`` is the number of the first row that is read.
    """

    whole = False
    first = 0

    def __init__(self, name: str, extension: str) -> None:
        self.name = name
        self.extension = extension

    @abstractmethod
    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of about ``rows`` rows; raises DataError for malformed content.

        Except in a whole table, a column that is missing or null in all rows of a batch may be
        missing or have the type Null there.
        """


class WholeTable(TableStream):
    """A table that is read whole when its first rows are needed."""

    whole = True

    def __init__(
        self,
        name: str,
        extension: str,
        read: Callable[[], Sequence[TablePart]],
        first: int = 0,
    ) -> None:
        super().__init__(name, extension)
        self._read = read
        self.first = first

    @cached_property
    def parts(self) -> Sequence[TablePart]:
        """The content of the table's files; raises DataError."""
        return self._read()

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All rows; raises DataError."""
        return frame_of_parts(self.parts, self.name)

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """Slices of the table."""
        return self.frame.iter_slices(rows)
