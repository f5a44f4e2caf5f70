"""The results of one model on one benchmark, as a report reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

#: The columns that identify an example of a cell.
EXAMPLE_LABELS = ("item_id", "style", "relevance")


@dataclass(frozen=True)
class CellResults:
    """The results of one model on one benchmark; the frames are lazy.

    ``examples`` has one row per example with key, texts and measurements (loss, tokens, reason).
    ``statistics`` and ``alignments`` are the tables of their spectra, ``sets`` that of the sets of
    examples. ``rows_of`` returns the stored rows of some keys.
    """

    model: str
    benchmark: str
    examples: pl.LazyFrame
    statistics: pl.LazyFrame
    alignments: pl.LazyFrame
    sets: pl.LazyFrame
    rows_of: Callable[[pl.Series], pl.LazyFrame]

    def statistics_with_donors(self) -> pl.LazyFrame:
        """The statistics with ``donor_item_id``, which only the examples have."""
        donors = self.examples.select(*EXAMPLE_LABELS, "donor_item_id")
        return self.statistics.join(donors, on=EXAMPLE_LABELS, how="left", maintain_order="left")
