"""Large files of lines, a batch at a time: JSON lines and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl

from gradpipe.errors import DataError
from gradpipe.tables.json_rows import frame_of_objects, read_jsonl
from gradpipe.tables.kinds import SEPARATORS
from gradpipe.tables.parts import TablePart, frame_of_lines, refuse_repeated_names, well_formed
from gradpipe.tables.separators import detect_separator
from gradpipe.tables.streams import TableStream
from gradpipe.untrusted.limits import LARGEST_FILE, refuse_large

_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 2**20
#: Bytes of CSV that are looked at for the separator.
_SAMPLE_BYTES = 2**16 + 1


class JsonLines(TableStream):
    """Files with one JSON object per line, in UTF-8."""

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        super().__init__(name, ".jsonl")
        self._files = files

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of the columns that their objects have."""
        objects = self.objects()
        while batch := list(islice(objects, rows)):
            with well_formed(TablePart(self.name, self.extension, b"")):
                frame = frame_of_objects(batch)
            yield frame

    def objects(self) -> Iterator[dict[str, Any]]:
        """The objects of all files; raises DataError for any other line."""
        for path, number, line in self._numbered_lines():
            with well_formed(TablePart(str(path), self.extension, b"")):
                (row,) = read_jsonl(line, number).rows
            yield row

    def lines(self, rows: int) -> Iterator[list[bytes]]:
        """The lines with an object, ``rows`` at a time."""
        lines = (line for _, _, line in self._numbered_lines())
        while batch := list(islice(lines, rows)):
            yield batch

    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.stat().st_size for file in self._files)

    def _numbered_lines(self) -> Iterator[tuple[Path, int, bytes]]:
        for path in self._files:
            with path.open("rb") as file:
                for number, line in enumerate(_lines(file, path), start=1):
                    if line.strip():
                        yield path, number, line


class SeparatedLines(TableStream):
    """CSV or TSV files in UTF-8, all with the columns of the first."""

    def __init__(self, name: str, extension: str, files: Sequence[Path]) -> None:
        super().__init__(name, extension)
        self._files = files

    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.stat().st_size for file in self._files)

    @property
    def separator(self) -> str:
        """The separator of the first file."""
        return self._separator(self._files[0])

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of columns of text; empty cells are null."""
        columns: list[str] | None = None
        for path in self._files:
            part = TablePart(str(path), self.extension, b"")
            separator = self._separator(path)
            with path.open("rb") as file:
                records = _records(file, path)
                header = next(records, b"")
                with well_formed(part):
                    refuse_repeated_names(header, separator)
                    names = frame_of_lines(header, separator).columns
                columns = columns or names
                if sorted(columns) != sorted(names):
                    raise DataError(
                        f"{self._files[0]} and {path} are not parts of one table (their columns "
                        "differ): give files with the same columns."
                    )
                for block in _blocks(records):
                    with well_formed(part):
                        frame = frame_of_lines(header + block, separator).select(columns)
                    yield from frame.iter_slices(rows)

    def _separator(self, path: Path) -> str:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE_BYTES).removeprefix(_MARK)
        return detect_separator(sample, SEPARATORS[self.extension])


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The lines of a file, the first without a byte-order mark."""
    mark = _MARK
    while line := file.readline(LARGEST_FILE + 1):
        if len(line) > LARGEST_FILE:
            refuse_large(2 * LARGEST_FILE + 1, f"A line of {path}")
        yield line.removeprefix(mark)
        mark = b""


def _records(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The rows of a CSV file: lines, joined where a cell in quotes has line breaks."""
    held: list[bytes] = []
    size = quotes = 0
    for line in _lines(file, path):
        held.append(line)
        size += len(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield b"".join(held)
            held, size, quotes = [], 0, 0
        refuse_large(2 * size if size > LARGEST_FILE else 0, f"A row of {path}")
    if held:
        yield b"".join(held)


def _blocks(records: Iterable[bytes]) -> Iterator[bytes]:
    """Rows in blocks of about _BLOCK_BYTES."""
    block: list[bytes] = []
    size = 0
    for record in records:
        block.append(record)
        size += len(record)
        if size >= _BLOCK_BYTES:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)
