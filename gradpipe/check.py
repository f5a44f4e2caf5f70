"""The result of a check of data."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """Whether a check passed, with ``note``, a sentence without its full stop, and ``numbers``."""

    name: str
    passed: bool
    note: str
    numbers: Mapping[str, float] = field(default_factory=dict)
