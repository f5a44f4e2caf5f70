"""Check the sizes in an Arrow file before a reader unpacks it.

Arrow compresses each buffer on its own, so a small file can unpack to any size, and pyarrow unpacks
a whole batch at once. Each compressed buffer begins with its size when unpacked, and the message
before it says where it begins. Messages are flatbuffers; their layout is that of
https://github.com/apache/arrow/tree/main/format (File.fbs, Message.fbs). Nulls take no buffer at
all, so values count too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from gradpipe.untrusted.limits import VALUE_BYTES, refuse_large

#: The first and last bytes of the file format; the stream format has none.
FILE_MAGIC = b"ARROW1"
_FOOTER_SIZE = struct.Struct("<i")
_BLOCK = struct.Struct("<qi4xq")
_PAIR = struct.Struct("<qq")
#: The numbers that the format gives to the fields on the way to a batch's buffers.
_DICTIONARIES, _BATCHES = 2, 3
_HEADER_KIND, _HEADER = 1, 2
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_DICTIONARY_DATA, _NODES, _BUFFERS, _COMPRESSION = 1, 1, 2, 3


class DamagedArrowError(ValueError):
    """A damaged Arrow file; the message says what is damaged, as part of a sentence."""


def check_arrow(data: bytes, name: str) -> None:
    """Raise DataError for an Arrow file or stream that unpacks to more than LARGEST_TABLE.

    Raises DamagedArrowError, or an error of pyarrow, if its messages cannot be followed.
    """
    size = 0
    for message in _messages(memoryview(data)):
        size += _unpacked_size(message)
        refuse_large(size, name)


def check_arrow_messages(data: memoryview, name: str) -> None:
    """The same for one that is read a batch at a time: no batch may unpack to more."""
    for message in _messages(data):
        refuse_large(_unpacked_size(message), name)


class _Message(NamedTuple):
    metadata: bytes
    body: memoryview


def _messages(data: memoryview) -> Iterator[_Message]:
    # Not at the top: `import definitions` stays quick.
    from pyarrow import BufferReader, ipc

    if bytes(data[: len(FILE_MAGIC)]) != FILE_MAGIC:
        for message in ipc.MessageReader.open_stream(BufferReader(data)):
            yield _as_message(message)
        return
    read = 0
    for offset, metadata, body in _blocks(data):
        read += metadata + body
        if min(offset, metadata, body) < 0 or read > len(data):
            raise DamagedArrowError("its footer lists blocks that are not in it")
        yield _as_message(ipc.read_message(BufferReader(data[offset : offset + metadata + body])))


def _as_message(message: Any) -> _Message:
    body = memoryview(b"") if message.body is None else memoryview(message.body)
    return _Message(message.metadata.to_pybytes(), body)


def _blocks(data: memoryview) -> Iterator[tuple[int, ...]]:
    """The offset, the bytes of metadata and the bytes of the body of each block by the footer."""
    end = len(data) - len(FILE_MAGIC) - _FOOTER_SIZE.size
    if end < 0 or bytes(data[-len(FILE_MAGIC) :]) != FILE_MAGIC:
        raise DamagedArrowError("it does not end as an Arrow file does")
    (size,) = _FOOTER_SIZE.unpack_from(data, end)
    if not 0 < size <= end:
        raise DamagedArrowError("its footer has no valid size")
    footer = _Table.root(bytes(data[end - size : end]))
    for number in (_DICTIONARIES, _BATCHES):
        yield from footer.structures(number, _BLOCK)


def _unpacked_size(message: _Message) -> int:
    """The bytes of a message's buffers when unpacked, or of its values if these need more."""
    batch = _Table.root(message.metadata)
    kind = batch.byte(_HEADER_KIND)
    if kind not in {_DICTIONARY_BATCH, _RECORD_BATCH}:
        return 0
    batch = batch.table(_HEADER)
    if kind == _DICTIONARY_BATCH:
        batch = batch.table(_DICTIONARY_DATA)
    values = sum(length for length, _ in batch.structures(_NODES, _PAIR))
    compressed = batch.has(_COMPRESSION)
    unpacked = 0
    for offset, length in batch.structures(_BUFFERS, _PAIR):
        size = length
        if compressed and length:
            if offset < 0 or offset + 8 > len(message.body):
                raise DamagedArrowError("it lists buffers that are not in it")
            size = int.from_bytes(message.body[offset : offset + 8], "little", signed=True)
            # This marks a buffer that is stored without compression.
            size = length if size == -1 else size
        if min(size, length) < 0:
            raise DamagedArrowError("it has a buffer with a size below zero")
        unpacked += size
    return max(unpacked, VALUE_BYTES * values)


class _Table(NamedTuple):
    """A table of a flatbuffer: fields by number, each of which may be absent."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _number(data, 0, "<I"))

    def field(self, number: int) -> int | None:
        """The place of a field in the data."""
        layout = self.place - _number(self.data, self.place, "<i")
        entry = 4 + 2 * number
        if entry + 2 > _number(self.data, layout, "<H"):
            return None
        offset = _number(self.data, layout + entry, "<H")
        return self.place + offset if offset else None

    def has(self, number: int) -> bool:
        return self.field(number) is not None

    def byte(self, number: int) -> int:
        place = self.field(number)
        return 0 if place is None else _number(self.data, place, "<B")

    def table(self, number: int) -> _Table:
        place = self.field(number)
        if place is None:
            raise DamagedArrowError("it has a message without content")
        return _Table(self.data, place + _number(self.data, place, "<I"))

    def structures(self, number: int, layout: struct.Struct) -> Iterator[tuple[int, ...]]:
        """The elements of a list of structures."""
        place = self.field(number)
        if place is None:
            return
        start = place + _number(self.data, place, "<I")
        end = start + 4 + layout.size * _number(self.data, start, "<I")
        if end > len(self.data):
            raise DamagedArrowError("it has a list that is longer than its message")
        yield from layout.iter_unpack(self.data[start + 4 : end])


def _number(data: bytes, place: int, form: str) -> int:
    try:
        if place >= 0:
            return int(struct.unpack_from(form, data, place)[0])
    except struct.error:
        pass
    raise DamagedArrowError("it has a message that ends too early")
