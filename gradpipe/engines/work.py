"""The work of an engine: the missing rows, where to write them, and whom to notify of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.models.placement import IN_ONE_PIECE, Placement

if TYPE_CHECKING:
    from gradpipe.gradients.protocol import Protocol
    from gradpipe.gradients.rows import Progress
    from gradpipe.models.source import ModelSource


@dataclass(frozen=True)
class Work:
    """The rows of one model to compute and store.

    ``source`` is pinned and ``name`` is the user's name for it. ``fingerprint`` must match
    wherever the model is loaded. ``examples`` are EXAMPLE_SCHEMA with ``key``, each key once.
    ``append`` takes frames of ROW_SCHEMA with ``key`` in place of ``row``; on return they are
    stored.
    ``missing`` returns the keys that are missing from the store. Both are pickled, as other
    processes and machines may call them; ``report`` stays in this process.
    ``placement`` sets the device layout of each copy of the model. ``rewritable``: a training may
    rewrite the model's files meanwhile. ``batch_tokens`` is the most padded tokens per batch;
    None means as many as fit in the free memory.
    """

    source: ModelSource
    name: str
    fingerprint: str
    protocol: Protocol
    examples: pl.DataFrame
    append: Callable[[pl.DataFrame], None]
    missing: Callable[[Iterable[str]], list[str]]
    report: Callable[[Progress], None] = lambda _: None
    placement: Placement = IN_ONE_PIECE
    rewritable: bool = False
    batch_tokens: int | None = None

    def called(self, keys: Iterable[str]) -> list[str]:
        """Return the names of rows in error messages: benchmark, index, style and relevance."""
        name = pl.format("{} {} {} {}", "benchmark", "index", "style", "relevance")
        rows = self.examples.filter(pl.col("key").is_in(list(keys)))
        return rows.select(name).to_series().to_list()
