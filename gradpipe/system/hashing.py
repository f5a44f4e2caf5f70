"""Content hashes: the identity of items, examples, rows and versions."""

import hashlib
import json
from typing import Any


def content_hash(*parts: Any, length: int = 20) -> str:
    """Return the hex digest of JSON-serializable parts, the same on every machine and in every run.

    20 hex digits are 80 bits: among a billion rows, a collision has a probability of one in a
    million.
    """
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
