"""Check the footer of a Parquet file before a reader trusts it.

Of the footer only what says how large the columns are is read: for each chunk of a column its name,
its number of values and its bytes when unpacked. pyarrow reports that too, but what it raises
inside ``RowGroupMetaData.column`` for a damaged footer ends the whole process. The layout is that
of https://github.com/apache/parquet-format (parquet.thrift), in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, NamedTuple

MAGIC = b"PAR1"
#: Structures inside each other; a footer has about six.
_DEEPEST = 24
_ROWS_AT_ONCE = 1000
#: The numbers that parquet.thrift gives to the fields on the way to a chunk's sizes.
_ROW_GROUPS, _COLUMNS, _ABOUT = 4, 1, 3
_ENCODINGS, _PATH, _VALUES, _UNPACKED = 2, 3, 5, 6
#: Encodings: texts by numbers into a dictionary, their lengths and what they share with the one
#: before as differences.
_DICTIONARIES, _DELTA_LENGTHS, _DELTA_TEXTS = {2, 8}, 6, 7


class DamagedParquetError(ValueError):
    """What is wrong with a Parquet file, as part of a sentence."""


class Chunk(NamedTuple):
    """What a footer says of one column in one row group; ``path`` are its names from outside in."""

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
        """The bytes that it may unpack to where each text must be written out to be read."""
        repeats = _DELTA_TEXTS in self.encodings or _DICTIONARIES & self.encodings
        return self.values * self.unpacked if repeats and not self.by_dictionary else self.unpacked


def column_chunks(file: IO[bytes]) -> list[Chunk]:
    """Every chunk of a Parquet file, as its footer says.

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
    """Decode all of a Parquet file by pyarrow, and keep nothing of it.

    What is damaged makes pyarrow raise, and Polars, in places, ask for so much memory that the
    whole process ends. Texts stay as numbers into a dictionary where they can, so that one that
    many rows share is there once. Raises DamagedParquetError.
    """
    from pyarrow import parquet

    by_dictionary = {".".join(chunk.path) for chunk in chunks if chunk.by_dictionary}
    by_dictionary -= {".".join(chunk.path) for chunk in chunks if not chunk.by_dictionary}
    try:
        schema = parquet.ParquetFile(file).schema
        columns = [schema.column(number) for number in range(len(schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        texts = [path for path in texts if path in by_dictionary]
        for _ in parquet.ParquetFile(file, read_dictionary=texts).iter_batches(_ROWS_AT_ONCE):
            pass
    except Exception as error:
        raise DamagedParquetError(str(error) or type(error).__name__) from error


def _chunks(footer: Any) -> Iterator[Chunk]:
    try:
        for group in footer.get(_ROW_GROUPS, []):
            for column in group[_COLUMNS]:
                about = column[_ABOUT]
                path = tuple(name.decode("utf-8", "replace") for name in about[_PATH])
                encodings = frozenset(map(int, about[_ENCODINGS]))
                chunk = Chunk(path, int(about[_VALUES]), int(about[_UNPACKED]), encodings)
                if min(chunk.values, chunk.unpacked) < 0:
                    raise DamagedParquetError(f"its column {path[0][:40]!r} has a size below zero")
                yield chunk
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise DamagedParquetError("its footer does not describe its columns") from error


@dataclass
class _Struct:
    """Thrift's compact protocol, as far as Parquet uses it: structures become mappings."""

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
            # Of a field that is true or false, the kind says which.
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
            raise DamagedParquetError("its footer holds what no Parquet file does")
        return readers[kind]()

    def elements(self, depth: int) -> list[Any]:
        """The elements of a list; each takes a byte at least, so their number cannot lie."""
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
        found = self.data.read(size)
        if len(found) < size:
            raise DamagedParquetError("its footer ends too early")
        return found

    def count(self) -> int:
        """Read a whole number with seven bits per byte, lowest bits first."""
        found = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise DamagedParquetError("its footer holds a number of more than 64 bits")

    def number(self) -> int:
        """The same with a sign, which is its lowest bit."""
        count = self.count()
        return (count >> 1) ^ -(count & 1)
