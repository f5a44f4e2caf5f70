"""Content hashes: the identity of items, examples, rows and versions."""

import hashlib
import json
from typing import Any

#: Made once: every row of every run has a few hashes.
_ENCODER = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def content_hash(*parts: Any, length: int = 20) -> str:
    """Return the hex digest of JSON-serializable parts, the same on every machine and in every run.

    20 hex digits are 80 bits: among a billion rows, a collision has a probability of one in a
    million.
    """
    return hashlib.sha256(_json(parts)).hexdigest()[:length]


class ContentHash:
    """``content_hash`` of a list whose elements are added one after another."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"[[")
        self._separator = b""

    def add(self, element: Any) -> None:
        """Add an element behind the others."""
        self._hash.update(self._separator + _json(element))
        self._separator = b","

    def hexdigest(self, length: int = 20) -> str:
        """The same as ``content_hash([...])`` of the elements that were added."""
        whole = self._hash.copy()
        whole.update(b"]]")
        return whole.hexdigest()[:length]


def _json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
