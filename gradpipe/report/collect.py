"""Collects the inputs of a report from the results of a study's cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.correction import Correction
from gradpipe.claims.length import length_effects
from gradpipe.claims.verdicts import judge_claims
from gradpipe.report.report_data import TWIN_SCHEMA, ReportInputs
from gradpipe.statistics.alignment import alignment_curves
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad, relative_difference
from gradpipe.statistics.discrimination import discrimination
from gradpipe.statistics.examples import example_scores, extremes
from gradpipe.statistics.rows import count_rows, unusable_rows
from gradpipe.statistics.spans import SPAN_SCHEMA, span_statistics
from gradpipe.styles import RELEVANCES


@dataclass(frozen=True)
class CellResults:
    """The results of one model on one benchmark; the frames are lazy.

    ``examples`` has one row per example with key, texts and measurements (loss, tokens, reason).
    ``statistics`` and ``alignments`` are the tables of their spectra. ``rows_of`` returns the
    stored rows of some keys.
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
    curve_table: pl.DataFrame,
    claims: Sequence[Claim],
    twins: Sequence[tuple[str, str]],
    seed: int,
    provenance: dict[str, Any],
    quality: pl.DataFrame,
    *,
    divided: bool = False,
    correction: Correction = "study",
) -> ReportInputs:
    """The inputs of a report on ``cells``, which are read one at a time.

    ``curve_table`` has the cells' curves, see ``all_curves``. ``claims`` are judged with ``seed``
    and ``correction``.
    ``twins`` are (base, tuned) models; pairs without cells are skipped. ``divided``: whether the
    responses were divided into spans.
    """
    statistics = curve_table["statistic"].unique(maintain_order=True).to_list()
    parts = [_parts_of(cell, statistics, seed) for cell in cells]
    measured = pl.concat(part.measured for part in parts)
    judged = judge_claims(
        [_with_donors(cell) for cell in cells],
        claims,
        model_pairs=twins,
        seed=seed,
        correction=correction,
    )
    models = {cell.model for cell in cells}
    shown = [pair for pair in twins if set(pair) <= models]
    return ReportInputs(
        curves=curve_table,
        mad=mad(curve_table),
        rd=relative_difference(curve_table),
        rows=count_rows(measured),
        unusable=unusable_rows(measured),
        provenance=provenance,
        quality=quality,
        claims=claims_table(claims),
        verdicts=judged.verdicts,
        random_effects=judged.random_effects,
        length=pl.concat(part.length for part in parts),
        alignment=pl.concat(part.alignment for part in parts),
        examples=pl.concat(part.scores for part in parts),
        extremes=pl.concat(part.extremes for part in parts),
        twins=pl.DataFrame(shown, schema=TWIN_SCHEMA, orient="row"),
        discrimination=pl.concat(part.discrimination for part in parts),
        spans=pl.concat(
            [
                SPAN_SCHEMA.to_frame(),
                *(_spans(cell, statistics) for cell in cells if divided),
            ]
        ),
    )


def _with_donors(cell: CellResults) -> pl.LazyFrame:
    """The statistics with ``donor_item_id``, which only the examples have."""
    keys = ["item_id", "style", "relevance"]
    donors = cell.examples.select(*keys, "donor_item_id")
    return cell.statistics.join(donors, on=keys, how="left", maintain_order="left")


def _spans(cell: CellResults, statistics: Sequence[str]) -> pl.DataFrame:
    examples = cell.examples.collect().with_columns(model=pl.lit(cell.model))
    usable = examples.filter(pl.col("reason").is_null())
    return span_statistics(usable, cell.rows_of(usable["key"]), statistics)


class _Parts(NamedTuple):
    """The tables of a report that need one cell only."""

    measured: pl.DataFrame
    scores: pl.DataFrame
    length: pl.DataFrame
    alignment: pl.DataFrame
    extremes: pl.DataFrame
    discrimination: pl.DataFrame


def _parts_of(cell: CellResults, names: Sequence[str], seed: int) -> _Parts:
    """Read each table of the cell once and reduce it to the tables of the report."""
    examples, statistics = cell.examples.collect(), cell.statistics.collect()
    scores = example_scores(statistics.lazy())
    return _Parts(
        measured=examples.drop("instruction", "response").with_columns(model=pl.lit(cell.model)),
        scores=scores,
        length=length_effects(statistics, seed),
        alignment=alignment_curves(cell.alignments),
        extremes=extremes(scores, examples, cell.rows_of),
        discrimination=pl.concat(
            discrimination(statistics, names, first=relevance, second="correct")
            for relevance in RELEVANCES
            if relevance != "correct"
        ),
    )
