"""All tables of the spans of one model on one benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from gradpipe.statistics.spans.contrasts import (
    CONTRAST_STATISTICS,
    SPAN_CONTRAST_SCHEMA,
    span_contrasts,
)
from gradpipe.statistics.spans.curves import SPAN_SCHEMA, span_matrices, span_statistics
from gradpipe.statistics.spans.steps import STEP_TREND_SCHEMA, step_trends


class SpanTables(NamedTuple):
    """SPAN_SCHEMA, SPAN_CONTRAST_SCHEMA and STEP_TREND_SCHEMA; no rows without spans."""

    spans: pl.DataFrame
    span_contrasts: pl.DataFrame
    step_trends: pl.DataFrame

    @classmethod
    def concat(cls, tables: Iterable[SpanTables]) -> SpanTables:
        """The tables of several models and benchmarks, one below the other."""
        schemas = (SPAN_SCHEMA, SPAN_CONTRAST_SCHEMA, STEP_TREND_SCHEMA)
        empty = [schema.to_frame() for schema in schemas]
        return cls(*(pl.concat(parts) for parts in zip(empty, *tables, strict=True)))


def span_tables(
    examples: pl.DataFrame, rows: pl.LazyFrame, statistics: Sequence[str]
) -> SpanTables:
    """Compute the tables of the spans of some examples; see ``span_statistics``."""
    compared = [name for name in CONTRAST_STATISTICS if name in statistics]
    own = span_matrices(examples, rows, compared, own_loss=True)
    return SpanTables(
        spans=span_statistics(examples, rows, statistics),
        span_contrasts=span_contrasts(own),
        step_trends=step_trends(own),
    )
