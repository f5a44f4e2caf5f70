"""The examples of a command's data, a chunk at a time: none stays in memory after its chunk."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from gradpipe.conversations.examples import (
    Conversation,
    Example,
    TokenIds,
    Unusable,
    texts_of,
)
from gradpipe.conversations.formats import DataFormat, find_format
from gradpipe.conversations.read_examples import no_usable_row, read_rows
from gradpipe.errors import DataError
from gradpipe.standalone.data_stream import ALL_ROWS, RowSelection, numbered_batches
from gradpipe.tables.streams import TableStream, WholeTable

#: The most examples of a chunk, and about the most characters of their texts. The spectra of a
#: chunk are in memory together: for a model of eight billion parameters, 250 MB.
CHUNK_ROWS, CHUNK_CHARACTERS = 2048, 2_000_000
_log = logging.getLogger(__name__)


@dataclass
class ExampleChunk:
    """Consecutive selected examples; ``rows`` are their numbers in the data.

    ``first`` is the place of the first one among all selected examples.
    """

    first: int
    rows: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ExampleChunks:
    """Reads examples of a table; every iteration reads the data again.

    ``columns`` and ``response_template`` are those of ``examples_of_table``. A chunk ends after
    every ``ends`` examples, and earlier if it is large.
    """

    stream: TableStream
    selection: RowSelection = ALL_ROWS
    columns: Mapping[str, str] | None = None
    response_template: str | None = None
    ends: int | None = None
    rows: int = CHUNK_ROWS
    _logged: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[ExampleChunk]:
        """Raises DataError as ``examples_of_table`` does, and if no row is selected."""
        chunk, characters, passed = ExampleChunk(0), 0, 0
        for number, example in self._examples():
            chunk.rows.append(number)
            chunk.examples.append(example)
            characters += _size(example)
            passed += 1
            full = len(chunk.rows) >= self.rows or characters >= CHUNK_CHARACTERS
            if full or (self.ends is not None and passed % self.ends == 0):
                yield chunk
                chunk, characters = ExampleChunk(passed), 0
        if chunk.rows:
            yield chunk
        if not passed:
            raise DataError(f"No row of {self.stream.name} is selected: change --where.")

    def texts(self, wanted: set[int]) -> dict[int, tuple[str | None, str | None]]:
        """The instruction and the response of each of the ``wanted`` rows."""
        last = max(wanted, default=-1)
        texts = {}
        for number, example in self._examples(wanted):
            if number in wanted:
                texts[number] = texts_of(example)
            if number >= last:
                break
        return texts

    def _examples(self, wanted: set[int] | None = None) -> Iterator[tuple[int, Example]]:
        """All selected examples, or those of batches with a ``wanted`` one."""
        name, found = self.stream.name, self._format_of_whole()
        usable, reason = False, ""
        for numbers, batch in numbered_batches(self.stream, self.selection):
            if not numbers:
                continue
            found = found or self._found(batch)
            if wanted is not None and wanted.isdisjoint(numbers):
                continue
            own = found if self.stream.whole else self._format_of(batch, found)
            examples = read_rows(batch, own, name, response_template=self.response_template)
            usable = usable or not all(isinstance(one, Unusable) for one in examples)
            if not usable and not reason:
                reason = next(one.reason for one in examples if isinstance(one, Unusable))
            yield from zip(numbers, examples, strict=True)
        if wanted is None and found is not None and not usable:
            raise no_usable_row(name, found, reason)

    def _format_of_whole(self) -> DataFormat | None:
        """The format of all rows, if they are in memory."""
        return self._found(self.stream.frame) if isinstance(self.stream, WholeTable) else None

    def _found(self, table: pl.DataFrame) -> DataFormat:
        found = find_format(table, self.stream.name, self.columns)
        if not self._logged:
            self._logged.append(found.kind)
            _log.info("%s has %s.", self.stream.name, found.sentence())
        return found

    def _format_of(self, batch: pl.DataFrame, found: DataFormat) -> DataFormat:
        """The format of a batch: the one ``found`` first, with the columns that are given here."""
        try:
            named = dict(self.columns or {}) or None
            own = find_format(batch, self.stream.name, named)
        except DataError:
            own = None
        if own is not None and own.kind == found.kind:
            return own
        present = {role: name for role, name in found.columns.items() if name in batch.columns}
        return replace(found, columns=present)


def _size(example: Example) -> int:
    """About how many characters an example has."""
    match example:
        case TokenIds():
            return 4 * len(example.ids)
        case Conversation():
            return sum(len(str(message.get("content", ""))) for message in example.messages)
        case _:
            return sum(len(text or "") for text in texts_of(example))
