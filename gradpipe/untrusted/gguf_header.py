"""Check the header of a .gguf file within limits before any reader trusts it.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

gguf 0.19.0 still needs this check. Given the files of ``tests/fuzz`` and ``tests/untrusted``, its
reader runs without end for a header of a hundred bytes that claims a list of 2⁶⁰ numbers, and for
over a minute for a list of two million. It accepts a ``block_count`` of 2³¹ layers, tensors of size
zero, and tensors that share their bytes: a converter would then allocate what the header claims.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from gradpipe.errors import ModelError

#: Each is several times what the largest available models need.
MAX_TENSORS, MAX_KEYS, MAX_STRING, MAX_ELEMENTS = 2**16, 2**12, 2**20, 2**22
_VERSIONS = (2, 3)
_START = struct.Struct("<4sIQQ")
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_FRACTIONS = {6, 12}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


def check_header(*parts: Path) -> tuple[int, int]:
    """Count the tensors of a file, or of all its ``parts``, and the numbers that they hold.

    Raises ModelError for a file that is truncated or not GGUF, for one whose header claims more
    than the file can hold or than any model needs, and for one of several parts that comes alone.
    """
    tensors = numbers = 0
    for path in parts:
        with _header(path) as header:
            tensors += header.tensors()
    for path in parts:
        with _header(path) as header:
            numbers += header.numbers(tensors, len(parts))
    return tensors, numbers


def read_header_text(path: Path, key: str) -> str | None:
    """Return the text of a key in a file's header, or None if no text has that key.

    Reads no further than the key. Raises ModelError as ``check_header`` does.
    """
    with _header(path) as header:
        return header.text_of(key)


@contextmanager
def _header(path: Path) -> Iterator[_Header]:
    """The header of a file; faults and unreadable files become a ModelError."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _Header(data)
    except (_Fault, ValueError) as error:
        # ValueError: an empty file cannot be mapped.
        raise ModelError(
            f"{path} cannot be read as a GGUF model ({error}): check that the file is whole."
        ) from None
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}): check the file's permissions."
        ) from error


def _whole(value: int | str | None) -> int | None:
    return value if isinstance(value, int) else None


class _Fault(Exception):
    """An invalid header; the message says what is wrong with it, as part of a sentence."""


class _Header:
    """Reads a mapped file from its first byte to the start of the tensors' data."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0
        self._left = MAX_ELEMENTS

    def tensors(self) -> int:
        """The number of tensors that the header claims; raises _Fault."""
        return self._counts()[0]

    def numbers(self, all_tensors: int, parts: int) -> int:
        """Count the numbers in all tensors of the file, one of ``parts``; raises _Fault."""
        tensors, keys = self._counts()
        values = dict(self._key() for _ in range(keys))
        numbers = {name: _whole(value) for name, value in values.items()}
        claims = [self._tensor() for _ in range(tensors)]
        self._check_layers(numbers, all_tensors)
        self._check_parts(numbers, all_tensors, parts)
        self._check_data(numbers.get("general.alignment", _ALIGNMENT), claims)
        return sum(count for count, _, _ in claims)

    def text_of(self, key: str) -> str | None:
        """The text of a key, or None; raises _Fault."""
        _, keys = self._counts()
        values = (self._key() for _ in range(keys))
        value = next((value for name, value in values if name == key), None)
        return value if isinstance(value, str) else None

    def _counts(self) -> tuple[int, int]:
        """The numbers of tensors and of keys that the header claims."""
        magic, version, tensors, keys = self._take(_START)
        if magic != b"GGUF":
            raise _Fault("it does not start with GGUF")
        if version not in _VERSIONS:
            raise _Fault(f"it is of version {version}; supported are 2 and 3")
        if tensors > MAX_TENSORS or keys > MAX_KEYS:
            raise _Fault(f"it claims {tensors} tensors and {keys} keys")
        return tensors, keys

    def _take(self, layout: struct.Struct) -> tuple[Any, ...]:
        self._skip(layout.size)
        return layout.unpack_from(self._data, self._at - layout.size)

    def _number(self, kind: str) -> int:
        (number,) = self._take(struct.Struct(f"<{kind}"))
        return int(number)

    def _skip(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise _Fault("it ends within its header")
        self._at += size

    def _text(self) -> str:
        length = self._number("Q")
        if length > MAX_STRING:
            raise _Fault(f"it has a text of {length} bytes in its header")
        self._skip(length)
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _key(self) -> tuple[str, int | str | None]:
        """A key, and its value if that is a whole number or a text."""
        name, kind = self._text(), self._number("I")
        if kind in _FRACTIONS:
            # It may be infinite or not a number.
            self._skip(struct.calcsize(f"<{_NUMBERS[kind]}"))
            return name, None
        if kind in _NUMBERS:
            return name, self._number(_NUMBERS[kind])
        if kind == _STRING:
            return name, self._text()
        if kind == _ARRAY:
            self._array(name)
        else:
            raise _Fault(f"its key {name[:60]!r} is of the unknown type {kind}")
        return name, None

    def _array(self, name: str) -> None:
        kind, count = self._number("I"), self._number("Q")
        self._left -= count
        if self._left < 0:
            raise _Fault(f"its key {name[:60]!r} has {count} entries")
        if kind in _NUMBERS:
            self._skip(count * struct.calcsize(f"<{_NUMBERS[kind]}"))
        elif kind == _STRING:
            for _ in range(count):
                self._text()
        else:
            raise _Fault(f"its key {name[:60]!r} is a list of the unknown type {kind}")

    def _tensor(self) -> tuple[int, int, int]:
        """Count a tensor's numbers and its bytes; the third value is its start in the data."""
        name, count = self._text(), self._number("I")
        if not 1 <= count <= 4:
            raise _Fault(f"its tensor {name[:60]!r} has {count} dimensions")
        numbers = prod(self._take(struct.Struct(f"<{count}Q")))
        kind, start = self._number("I"), self._number("Q")
        if kind not in set(GGMLQuantizationType):
            raise _Fault(f"its tensor {name[:60]!r} is of the unknown type {kind}")
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        if not numbers or numbers % block:
            raise _Fault(f"its tensor {name[:60]!r} has {numbers} numbers, in blocks of {block}")
        return numbers, numbers // block * size, start

    def _check_layers(self, values: Mapping[str, int | None], tensors: int) -> None:
        for name, value in values.items():
            if name.endswith(".block_count") and (value is None or not 0 <= value <= tensors):
                raise _Fault(f"it claims {value} layers, and has {tensors} tensors")

    def _check_parts(self, values: Mapping[str, int | None], tensors: int, parts: int) -> None:
        count, total = values.get("split.count"), values.get("split.tensors.count")
        if count is not None and count > 1 and count != parts:
            raise _Fault(
                f"it is one of {count} parts, which are named as in x-00001-of-{count:05}.gguf"
            )
        if count is not None and count > 1 and total is not None and total != tensors:
            raise _Fault(f"its parts have {tensors} tensors together, and it claims {total}")

    def _check_data(self, alignment: int | None, claims: list[tuple[int, int, int]]) -> None:
        """Raise _Fault unless all tensors fit into the file without sharing bytes."""
        if alignment is None or not 1 <= alignment <= MAX_STRING:
            raise _Fault(f"it aligns its tensors to {alignment} bytes")
        room = len(self._data) - -(-self._at // alignment) * alignment
        if any(start + size > room for _, size, start in claims):
            raise _Fault("it is cut short: a tensor would lie beyond its end")
        if sum(size for _, size, _ in claims) > room:
            raise _Fault("its tensors overlap")
