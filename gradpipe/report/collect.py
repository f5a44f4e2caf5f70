"""Collects the inputs of a report from the results of a study's cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.inference.correction import Correction
from gradpipe.claims.length.effects import length_effects
from gradpipe.report.cell_results import EXAMPLE_LABELS, CellResults
from gradpipe.report.judged_cells import judge_cells
from gradpipe.report.judged_series import judge_series
from gradpipe.report.origins import ORIGIN_SCHEMA, REPORT_RESPONSE_SCHEMA, extreme_origins
from gradpipe.report.report_data import (
    REPORT_ADDED_SCHEMA,
    STEP_SCHEMA,
    TWIN_SCHEMA,
    ReportInputs,
)
from gradpipe.report.steps import detailed_models, models_that_count
from gradpipe.report.style_sheet import BUILT_IN_STYLES, StyleSheet
from gradpipe.statistics.alignment import alignment_curves
from gradpipe.statistics.curves import curves
from gradpipe.statistics.decomposition import token_decomposition
from gradpipe.statistics.detection.added import added_discrimination
from gradpipe.statistics.detection.discrimination import discrimination
from gradpipe.statistics.differences import mad, of_common_items, relative_difference
from gradpipe.statistics.example_details import example_details
from gradpipe.statistics.examples import SCORES, example_scores, extremes
from gradpipe.statistics.rows import count_rows, unusable_rows
from gradpipe.statistics.sets.tables import set_tables
from gradpipe.statistics.spans.tables import SpanTables, span_tables
from gradpipe.styles import RELEVANCES

_CELL = ["model", "benchmark"]
#: Examples of a study with details, and at least this many of each cell.
_MOST_DETAILS, _LEAST_OF_CELL = 4000, 8


def all_curves(cells: Iterable[CellResults], names: Sequence[str]) -> pl.DataFrame:
    """The curves of the named statistics of every cell."""
    return pl.concat(curves(cell.statistics, names) for cell in cells)


def all_details(cells: Sequence[CellResults], steps: pl.DataFrame) -> pl.DataFrame:
    """The details of single examples that a report on ``cells`` shows (DETAIL_SCHEMA).

    ``steps`` are those of checkpoints (`step_table`), of which only some are shown in detail.
    """
    shown = _in_detail(cells, steps)
    return pl.concat(_details_of(cell, _most_details(shown)) for cell in shown)


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
    steps: pl.DataFrame | None = None,
    responses: pl.DataFrame | None = None,
    styles: StyleSheet = BUILT_IN_STYLES,
) -> ReportInputs:
    """The inputs of a report on ``cells``, which are read one at a time.

    ``curve_table`` has the cells' curves, see ``all_curves``. ``claims`` are judged with ``seed``
    and ``correction``.
    ``twins`` are (base, tuned) models; pairs without cells are skipped. ``divided``: whether the
    responses were divided into spans. ``steps`` are those of checkpoints (`step_table`): the
    verdicts are about `models_that_count`, and tables that take long about `detailed_models`.
    ``responses`` is REPORT_RESPONSE_SCHEMA with ``text``; without it, no origin is shown.
    ``styles`` says in which order the study's styles are compared and shown.
    """
    statistics = curve_table["statistic"].unique(maintain_order=True).to_list()
    models = list(dict.fromkeys(cell.model for cell in cells))
    placed = STEP_SCHEMA.to_frame() if steps is None else steps
    placed = placed.filter(pl.col("model").is_in(models))
    in_detail = _in_detail(cells, placed)
    most = _most_details(in_detail)
    parts = [_parts_of(cell, statistics, seed, styles.order, most) for cell in in_detail]
    measured = pl.concat(_measured(cell) for cell in cells)
    counting = set(models_that_count(models, placed))
    judged = judge_cells(
        [cell for cell in cells if cell.model in counting],
        claims,
        [pair for pair in twins if set(pair) <= counting],
        seed,
        correction,
    )
    in_time = judge_series(cells, claims, placed, seed)
    sets = set_tables(_sets_by_model(in_detail))
    shown = [pair for pair in twins if set(pair) <= {cell.model for cell in in_detail}]
    return ReportInputs(
        curves=curve_table,
        mad=mad(curve_table),
        rd=relative_difference(comparable_curves(cells, curve_table, statistics)),
        rows=count_rows(measured),
        unusable=unusable_rows(measured),
        provenance=provenance,
        quality=quality,
        responses=(
            REPORT_RESPONSE_SCHEMA.to_frame()
            if responses is None
            else responses.select(list(REPORT_RESPONSE_SCHEMA))
        ),
        origins=(
            ORIGIN_SCHEMA.to_frame()
            if responses is None
            else _origins(in_detail, parts, responses, provenance)
        ),
        claims=claims_table(judged.claims),
        verdicts=judged.verdicts,
        verified=judged.verified,
        random_effects=judged.random_effects,
        length=pl.concat(part.length for part in parts),
        length_control=judged.length_control,
        alignment=pl.concat(part.alignment for part in parts),
        examples=pl.concat(part.scores for part in parts),
        extremes=pl.concat(part.extremes for part in parts),
        details=pl.concat(part.details for part in parts),
        twins=pl.DataFrame(shown, schema=TWIN_SCHEMA, orient="row"),
        discrimination=pl.concat(part.discrimination for part in parts),
        set_diversity=sets.diversity,
        set_consensus=sets.consensus,
        set_cosines=sets.cosines,
        decomposition=pl.concat(part.decomposition for part in parts),
        added=pl.concat(part.added for part in parts),
        steps=placed,
        trends=in_time.trends,
        claim_steps=in_time.by_step,
        styles=styles,
        **SpanTables.concat(_spans(cell, statistics) for cell in in_detail if divided)._asdict(),
    )


def comparable_curves(
    cells: Sequence[CellResults], curve_table: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame:
    """The curves of the items with correct and irrelevant responses, for relative differences.

    Curves that are of the same items already are not computed again.
    """
    sides = ["model", "benchmark", "style", "projection", "statistic"]
    compared = pl.col("relevance").is_in(["correct", "irrelevant"])
    uneven = curve_table.filter(compared).filter(pl.col("examples").n_unique().over(sides) > 1)
    places = uneven.select(_CELL).unique()
    again = [cell for cell in cells if (cell.model, cell.benchmark) in set(places.rows())]
    kept = curve_table.join(places, on=_CELL, how="anti")
    return pl.concat([kept, *(curves(of_common_items(one.statistics), names) for one in again)])


def _in_detail(cells: Sequence[CellResults], steps: pl.DataFrame) -> list[CellResults]:
    """The cells of the models that the report shows in detail."""
    detailed = set(detailed_models(list(dict.fromkeys(cell.model for cell in cells)), steps))
    return [cell for cell in cells if cell.model in detailed]


def _most_details(cells: Sequence[CellResults]) -> int:
    """The most examples of each of ``cells`` with details."""
    return max(_MOST_DETAILS // max(len(cells), 1), _LEAST_OF_CELL)


def _details_of(cell: CellResults, most: int) -> pl.DataFrame:
    statistics = cell.statistics.collect()
    scores, examples = example_scores(statistics.lazy()), cell.examples.collect()
    return example_details(scores, examples, statistics, cell.rows_of, most)


def _sets_by_model(cells: Sequence[CellResults]) -> Iterator[pl.DataFrame]:
    for model in dict.fromkeys(cell.model for cell in cells):
        yield pl.concat(cell.sets.collect() for cell in cells if cell.model == model)


def _spans(cell: CellResults, statistics: Sequence[str]) -> SpanTables:
    examples = cell.examples.collect().with_columns(model=pl.lit(cell.model))
    usable = examples.filter(pl.col("reason").is_null())
    return span_tables(usable, cell.rows_of(usable["key"]), statistics)


def _measured(cell: CellResults) -> pl.DataFrame:
    """The examples of a cell without their texts."""
    examples = cell.examples.drop("instruction", "response").collect()
    return examples.with_columns(model=pl.lit(cell.model))


def _origins(
    cells: Sequence[CellResults],
    parts: Sequence[_Parts],
    responses: pl.DataFrame,
    provenance: dict[str, Any],
) -> pl.DataFrame:
    """Where the responses of each cell's extreme examples come from."""
    origins = [ORIGIN_SCHEMA.to_frame()]
    sources = {entry["name"]: entry.get("source") for entry in provenance.get("benchmarks", [])}
    for cell, part in zip(cells, parts, strict=True):
        of_benchmark = responses.filter(pl.col("benchmark") == cell.benchmark)
        source = sources.get(cell.benchmark)
        origins.append(extreme_origins(part.extremes, part.texts, of_benchmark, source))
    return pl.concat(origins)


class _Parts(NamedTuple):
    """The tables of a report that need one cell only."""

    scores: pl.DataFrame
    length: pl.DataFrame
    alignment: pl.DataFrame
    extremes: pl.DataFrame
    details: pl.DataFrame
    texts: pl.DataFrame
    discrimination: pl.DataFrame
    decomposition: pl.DataFrame
    added: pl.DataFrame


def _parts_of(
    cell: CellResults, names: Sequence[str], seed: int, order: Sequence[str], details: int
) -> _Parts:
    """Read each table of the cell once and reduce it to the tables of the report.

    ``details`` is the most examples with details.
    """
    examples, statistics = cell.examples.collect(), cell.statistics.collect()
    scores = example_scores(statistics.lazy())
    others = [relevance for relevance in RELEVANCES if relevance != "correct"]
    scored = [name for name in SCORES if name in names]
    with_donors = cell.statistics_with_donors().collect()
    at_ends = extremes(scores, examples, cell.rows_of)
    texts = examples.select(*EXAMPLE_LABELS, "donor_item_id", "response")
    return _Parts(
        scores=scores,
        length=length_effects(statistics, seed, order),
        alignment=alignment_curves(cell.alignments),
        extremes=at_ends,
        details=example_details(scores, examples, statistics, cell.rows_of, details),
        texts=texts.join(at_ends, on=EXAMPLE_LABELS, how="semi"),
        discrimination=pl.concat(
            discrimination(statistics, names, first=relevance, second="correct")
            for relevance in others
        ),
        decomposition=token_decomposition(statistics, order),
        added=pl.concat(
            added_discrimination(with_donors, scored, first=relevance) for relevance in others
        )
        if scored
        else REPORT_ADDED_SCHEMA.to_frame(),
    )
