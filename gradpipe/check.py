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

    @property
    def sentence(self) -> str:
        """The note as a sentence."""
        return f"{self.note[0].upper()}{self.note[1:]}."
