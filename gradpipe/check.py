"""What a check of data found: passed or not, in a sentence and in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One check's finding; ``note`` is a sentence without its full stop."""

    name: str
    passed: bool
    note: str
    numbers: Mapping[str, float] = field(default_factory=dict)
