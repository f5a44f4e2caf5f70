"""Let transformers read a GGUF file fast: its reader takes most of a small model's conversion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import gguf
import numpy as np


@contextmanager
def fast_gguf_reading() -> Iterator[None]:
    """A block in which the package ``gguf`` reads each file once, and faster.

    transformers reads a file's metadata, an object per token of the vocabulary, again for its
    configuration, its tokenizer and its weights. It also builds the table of tensor names again
    for each of a model's modules. Not for several threads at once.
    """
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    _replace(lru_cache(_ArrayReader), lru_cache(gguf.get_tensor_name_map))
    try:
        yield
    finally:
        _replace(*before)


def _replace(reader: Any, tensor_names: Any) -> None:
    setattr(gguf, "GGUFReader", reader)  # noqa: B010
    setattr(gguf, "get_tensor_name_map", tensor_names)  # noqa: B010


class _ArrayReader(gguf.GGUFReader):
    """A reader on a plain array: slicing a memory map takes several times as long."""

    @property  # type: ignore[override]
    def data(self) -> np.ndarray[Any, Any]:
        """The bytes of the file."""
        return self._data

    @data.setter
    def data(self, mapped: np.ndarray[Any, Any]) -> None:
        self._data = np.asarray(mapped).view(np.ndarray)
