"""What a run of the bench is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

#: Takes one line of progress.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """The options of the command line.

    ``rows``: examples of each style; ``naive_rows``: how many of them the naive method takes, 0 for
    none; ``rounds``: how often the methods take turns; ``budget``: the token budget that ours is
    given, None for its own choice; ``tokens``: tokens of a layer's one row.
    """

    model: str = "demo"
    data: Path | None = None
    styles: tuple[str, ...] = ("none", "simplified", "detailed")
    rows: int = 32
    naive_rows: int = 3
    rounds: int = 3
    budget: int | None = None
    shapes: tuple[str, ...] = ("Qwen2-1.5B", "Llama-3.1-8B", "Gemma-2-9B")
    tokens: int = 300

    @property
    def model_name(self) -> str:
        """What the model is called in a report: never a path."""
        return PurePath(self.model).name

    def as_json(self) -> dict[str, Any]:
        """The settings as a mapping that JSON can hold, without any path."""
        data = None if self.data is None else self.data.name
        return asdict(self) | {"model": self.model_name, "data": data}
