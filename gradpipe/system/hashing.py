"""Content hashes: the identity of items, examples, rows and versions."""

import hashlib
import json
from typing import Any


def content_hash(*parts: Any, length: int = 20) -> str:
    """Hex digest of JSON-able parts, the same on every machine and in every run.

    20 hex digits are 80 bits: a collision among a billion rows has odds of one in a million.
    """
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
