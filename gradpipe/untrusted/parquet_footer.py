"""Check the footer of a Parquet file before a reader trusts it.

Only the sizes of the columns are read: for each chunk of a column its name, its number of values
and its bytes when unpacked. The layout is that of https://github.com/apache/parquet-format
(parquet.thrift), in Thrift's compact protocol.

pyarrow 26.0.1 and Polars 2.1.0 still need this check. Given the files of ``tests/fuzz`` and
``tests/untrusted`` in a process that may use 2 GiB,

- pyarrow aborts the process in ``RowGroupMetaData.column`` if the footer's histograms have a wrong
  length (``found-pyarrow-abort``), so the sizes cannot come from there;
- Polars aborts the process for a page with a negative number of values (``found-polars-abort``), so
  pyarrow, which raises, decodes a file first;
- Polars aborts the process, and pyarrow raises after filling the memory, for small files that
  unpack to gigabytes: 10 KB of texts in DELTA_BYTE_ARRAY, 1 MB of nulls. So the sizes are compared
  with a limit before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, NamedTuple

MAGIC = b"PAR1"
#: Structures inside each other; a footer has about six.
_DEEPEST = 24
_BATCH_ROWS = 1000
#: The numbers that parquet.thrift gives to the fields on the way to a chunk's sizes.
_ROW_GROUPS, _COLUMNS, _METADATA = 4, 1, 3
_ENCODINGS, _PATH, _VALUES, _UNPACKED = 2, 3, 5, 6
#: Encodings of texts: as numbers into a dictionary; with their lengths as differences; with the
#: length of the beginning that each shares with the text before it.
_DICTIONARIES, _DELTA_LENGTHS, _DELTA_TEXTS = {2, 8}, 6, 7


class DamagedParquetError(ValueError):
    """A damaged Parquet file; the message says what is damaged, as part of a sentence."""


class Chunk(NamedTuple):
    """A footer's entry for one column in one row group; ``path`` are its names from outside in."""

    path: tuple[str, ...]
    values: int
    unpacked: int
    encodings: frozenset[int]

    @property
    def by_dictionary(self) -> bool:
        """Whether its texts are numbers into a dictionary, and pyarrow can leave them so."""
        delta = {_DELTA_LENGTHS, _DELTA_TEXTS} & self.encodings
        return bool(_DICTIONARIES & self.encodings) and not delta

    @property
    def most(self) -> int:
        """The bytes that it may unpack to if every text must be written out in full."""
        repeats = _DELTA_TEXTS in self.encodings or _DICTIONARIES & self.encodings
        return self.values * self.unpacked if repeats and not self.by_dictionary else self.unpacked


def column_chunks(file: IO[bytes]) -> list[Chunk]:
    """List every chunk of a Parquet file from its footer.

    Raises DamagedParquetError for a file without such a footer, and for sizes below zero.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - 8))
    tail = file.read(8)
    size = int.from_bytes(tail[:4], "little")
    if len(tail) < 8 or tail[4:] != MAGIC or size > end - 12:
        raise DamagedParquetError("it does not end as a Parquet file does")
    file.seek(end - 8 - size)
    footer = _Struct(BytesIO(file.read(size))).read(0)
    return list(_chunks(footer))


def decode(file: IO[bytes], chunks: Collection[Chunk]) -> None:
    """Decode a whole Parquet file with pyarrow, without keeping any rows.

    Texts stay numbers into a dictionary where pyarrow allows it, so a text that many rows share is
    in memory once. Raises DamagedParquetError.
    """
    from pyarrow import parquet

    by_dictionary = {".".join(chunk.path) for chunk in chunks if chunk.by_dictionary}
    by_dictionary -= {".".join(chunk.path) for chunk in chunks if not chunk.by_dictionary}
    try:
        schema = parquet.ParquetFile(file).schema
        columns = [schema.column(number) for number in range(len(schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        texts = [path for path in texts if path in by_dictionary]
        for _ in parquet.ParquetFile(file, read_dictionary=texts).iter_batches(_BATCH_ROWS):
            pass
    except Exception as error:
        raise DamagedParquetError(str(error) or type(error).__name__) from error


def _chunks(footer: Any) -> Iterator[Chunk]:
    try:
        for group in footer.get(_ROW_GROUPS, []):
            for column in group[_COLUMNS]:
                metadata = column[_METADATA]
                path = tuple(name.decode("utf-8", "replace") for name in metadata[_PATH])
                encodings = frozenset(map(int, metadata[_ENCODINGS]))
                chunk = Chunk(path, int(metadata[_VALUES]), int(metadata[_UNPACKED]), encodings)
                if min(chunk.values, chunk.unpacked) < 0:
                    raise DamagedParquetError(f"its column {path[0][:40]!r} has a size below zero")
                yield chunk
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise DamagedParquetError("its footer does not describe its columns") from error


@dataclass
class _Struct:
    """The part of Thrift's compact protocol that Parquet uses: structures become mappings."""

    data: BytesIO

    def read(self, depth: int) -> dict[int, Any]:
        """The fields of a structure by their numbers."""
        if depth > _DEEPEST:
            raise DamagedParquetError("its footer is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while header := self.byte():
            number = number + (header >> 4) if header >> 4 else self.number()
            kind = header & 15
            # A boolean field has its value in its kind.
            fields[number] = kind == 1 if kind in {1, 2} else self.value(kind, depth)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        """One value of a kind that the protocol numbers."""
        readers: dict[int, Callable[[], Any]] = {
            1: self.byte,
            2: self.byte,
            3: self.byte,
            4: self.number,
            5: self.number,
            6: self.number,
            7: lambda: self.take(8),
            8: lambda: self.take(self.count()),
            9: lambda: self.elements(depth),
            10: lambda: self.elements(depth),
            12: lambda: self.read(depth + 1),
        }
        if kind not in readers:
            raise DamagedParquetError("its footer has a value of an unknown kind")
        return readers[kind]()

    def elements(self, depth: int) -> list[Any]:
        """The elements of a list; each takes at least a byte, so a false length ends the file."""
        if depth > _DEEPEST:
            raise DamagedParquetError("its footer is nested too deeply")
        header = self.byte()
        size = header >> 4 if header >> 4 < 15 else self.count()
        return [self.value(header & 15, depth + 1) for _ in range(size)]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        """The next bytes, all of them."""
        content = self.data.read(size)
        if len(content) < size:
            raise DamagedParquetError("its footer ends too early")
        return content

    def count(self) -> int:
        """Read a whole number with seven bits per byte, lowest bits first."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise DamagedParquetError("its footer holds a number of more than 64 bits")

    def number(self) -> int:
        """Read a whole number whose lowest bit is its sign."""
        count = self.count()
        return (count >> 1) ^ -(count & 1)
