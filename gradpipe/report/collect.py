"""Gathering what a report shows from the results of a study's cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.length import length_effects
from gradpipe.claims.verdicts import judge
from gradpipe.report.report_data import TWIN_SCHEMA, ReportInputs
from gradpipe.statistics.alignment import alignment_curves
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad, relative_difference
from gradpipe.statistics.examples import example_scores, extremes
from gradpipe.statistics.rows import count_rows, unusable_rows


@dataclass(frozen=True)
class CellResults:
    """The results of one model on one benchmark; frames are read when they are asked for.

    ``examples`` are its examples with keys and texts, and what was measured of each (loss, tokens,
    reason); ``statistics`` and ``alignments`` the tables made of their spectra, and ``rows_of``
    gives the kept rows that have one of some keys.
    """

    model: str
    benchmark: str
    examples: pl.LazyFrame
    statistics: pl.LazyFrame
    alignments: pl.LazyFrame
    rows_of: Callable[[pl.Series], pl.LazyFrame]


def all_curves(cells: Iterable[CellResults], names: Sequence[str]) -> pl.DataFrame:
    """The curves of the named statistics of every cell."""
    return pl.concat(curves(cell.statistics, names) for cell in cells)


def gather(
    cells: Sequence[CellResults],
    found: pl.DataFrame,
    claims: Sequence[Claim],
    twins: Sequence[tuple[str, str]],
    seed: int,
    provenance: dict[str, Any],
    quality: pl.DataFrame,
) -> ReportInputs:
    """Everything that a report says of ``cells``, of which one at a time is in memory.

    ``found`` are the cells' curves; ``claims`` are judged with ``seed``, and with ``twins`` (base,
    tuned), of which those that have cells are shown.
    """
    parts = [_parts_of(cell, seed) for cell in cells]
    kinds = pl.concat(part.measured for part in parts)
    verdicts = judge([cell.statistics for cell in cells], claims, model_pairs=twins, seed=seed)
    models = {cell.model for cell in cells}
    shown = [pair for pair in twins if set(pair) <= models]
    return ReportInputs(
        curves=found,
        mad=mad(found),
        rd=relative_difference(found),
        rows=count_rows(kinds),
        unusable=unusable_rows(kinds),
        provenance=provenance,
        quality=quality,
        claims=claims_table(claims),
        verdicts=verdicts,
        length=pl.concat(part.length for part in parts),
        alignment=pl.concat(part.alignment for part in parts),
        examples=pl.concat(part.scores for part in parts),
        extremes=pl.concat(part.extremes for part in parts),
        twins=pl.DataFrame(shown, schema=TWIN_SCHEMA, orient="row"),
    )


class _Parts(NamedTuple):
    """What a report says of one cell alone."""

    measured: pl.DataFrame
    scores: pl.DataFrame
    length: pl.DataFrame
    alignment: pl.DataFrame
    extremes: pl.DataFrame


def _parts_of(cell: CellResults, seed: int) -> _Parts:
    """The cell's parts; each of its tables is read once."""
    examples, statistics = cell.examples.collect(), cell.statistics.collect()
    scores = example_scores(statistics.lazy())
    return _Parts(
        examples.drop("instruction", "response").with_columns(model=pl.lit(cell.model)),
        scores,
        length_effects(statistics, seed),
        alignment_curves(cell.alignments),
        extremes(scores, examples, cell.rows_of),
    )
