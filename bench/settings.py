"""The settings of a run of the bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

#: Prints one line of progress.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """The options of the command line.

    ``rows`` is the number of examples per style, ``naive_rows`` of those for the naive method (0
    skips it), ``rounds`` of repetitions, ``tokens`` of tokens in the row for one layer. ``budget``
    is the token budget of ours; None lets it choose. ``stored`` is the number of rows in
    a row store, and ``methods`` are those to compare with other projects, all if it is empty.
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
    stored: int = 2000
    methods: tuple[str, ...] = ()

    @property
    def model_name(self) -> str:
        """The model's name in a report, never a path."""
        return PurePath(self.model).name

    def as_json(self) -> dict[str, Any]:
        """The settings for JSON, without paths."""
        data = None if self.data is None else self.data.name
        return asdict(self) | {"model": self.model_name, "data": data}
