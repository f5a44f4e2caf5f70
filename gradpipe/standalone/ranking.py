"""Scores of examples by one statistic, and the order that the scores give."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.errors import DataError
from gradpipe.gradients.rows import explode_matrices
from gradpipe.standalone.spectra_file import (
    MATRICES_AT_ONCE,
    columns_and_unusable,
    readable_spectra,
    spectra_batches,
)
from gradpipe.statistics.examples import mean_over_matrices
from gradpipe.statistics.reductions import (
    REDUCTIONS,
    available_statistics,
    reduce_spectra,
    require_statistics,
)
from gradpipe.statistics.sets.diverse_subset import diverse_order
from gradpipe.statistics.table import conform_to_schema, whole_responses

#: One row per example: its number, its score, and why it has no score if it has none.
SCORE_SCHEMA = pl.Schema({"row": pl.Int64, "score": pl.Float64, "reason": pl.String})


def score_rows(frames: Iterable[pl.DataFrame], by: str) -> pl.DataFrame:
    """The score of each extracted example (SCORE_SCHEMA): the mean of ``by`` over its matrices.

    ``by`` is a statistic; an example has one matrix per layer and projection. ``frames`` have
    ROW_SCHEMA, and the spectra of one frame at a time are in memory. Raises StudyError for an
    unknown statistic.
    """
    require_statistics([by], tuple(REDUCTIONS))
    tables = [score_frame(rows, by) for rows in frames]
    return with_reasons(pl.concat([SCORE_SCHEMA.to_frame(), *tables]), by)


def score_frame(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """The same for one frame, in its order; ``reason`` is that of unusable examples alone."""
    means = _means(_reduced(explode_matrices(rows.lazy()), "row", by), "row")
    scored = rows.select("row", "reason").join(means, on="row", how="left", maintain_order="left")
    return conform_to_schema(scored, SCORE_SCHEMA)


def score_spectra(spectra: pl.DataFrame, by: str) -> pl.DataFrame:
    """The scores (SCORE_SCHEMA) of the examples in a table of ``extract_spectra``.

    ``by`` is a column of the table, or a statistic that follows from its columns. Raises DataError
    if ``spectra`` is another kind of table, StudyError for a statistic that it cannot give.
    """
    if "example" not in spectra.columns:
        raise DataError(
            f"The table to rank has no column 'example', only {', '.join(spectra.columns)}: pass "
            "the table that extract_spectra returned, or examples with their model and tokenizer."
        )
    require_statistics([by], available_statistics(spectra.columns))
    parts = [_reduced(part.lazy(), "example", by) for part in spectra.iter_slices(MATRICES_AT_ONCE)]
    scores = _usable_scores(parts)
    if "reason" in spectra.columns:
        unusable = spectra.drop_nulls("reason").select(pl.col("example").alias("row"), "reason")
        scores = pl.concat([scores, conform_to_schema(unusable, SCORE_SCHEMA)])
    return with_reasons(scores, by)


def score_spectra_file(path: Path, by: str) -> pl.DataFrame:
    """The same from a table of ``gradpipe extract``, whose metadata has the unusable rows too.

    ``path`` is a file or a folder of shards. Raises DataError if it is not of this kind, StudyError
    for a statistic that it cannot give.
    """
    with readable_spectra(path):
        columns, unusable = columns_and_unusable(path)
        require_statistics([by], available_statistics(columns))
        needed = [by] if by in columns else REDUCTIONS[by].meta.root_names()
        span = [name for name in columns if name == "span"]
        parts = (
            _reduced(matrices.lazy(), "example", by)
            for matrices in spectra_batches(path, ["example", *needed, *span])
        )
        scores = [_means_in_order(parts), conform_to_schema(unusable, SCORE_SCHEMA)]
        return with_reasons(pl.concat(scores), by)


def _means_in_order(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The scores of examples whose matrices follow each other, over several parts at most."""
    means, held = [SCORE_SCHEMA.to_frame()], pl.DataFrame()
    for part in parts:
        both = pl.concat([held, part]) if held.height else part
        last = pl.col("example") == pl.col("example").last()
        held = both.filter(last)
        means.append(_usable_scores([both.filter(~last)]))
    return pl.concat([*means, _usable_scores([held])]) if held.height else pl.concat(means)


def rank_scores(
    scores: pl.DataFrame,
    ascending: bool = False,
    top: int | float | None = None,
    by: str = "score",
) -> pl.DataFrame:
    """Scores in order, the largest first, with their ``rank`` from 1, added to SCORE_SCHEMA.

    ``by`` is the column to order by. ``ascending`` puts the smallest first. Equal scores keep the
    order of their rows. An integer ``top`` keeps that many rows, a float that share of the rows
    with a score, rounded up; without it, rows without a score come last, in their order.
    """
    scored = scores.filter(pl.col(by).is_not_null())
    scored = scored.sort(by, "row", descending=[not ascending, False])
    scored = scored.with_columns(rank=pl.int_range(1, pl.len() + 1).cast(pl.Int64))
    if top is not None:
        return scored.head(number_of_rows(top, scored.height))
    rest = scores.filter(pl.col(by).is_null()).sort("row")
    return pl.concat([scored, rest.with_columns(rank=pl.lit(None, pl.Int64))])


def choose_diverse(
    ranked: pl.DataFrame,
    rows: NDArray[np.int64],
    directions: NDArray[np.float32],
    top: int | float | None = None,
) -> pl.DataFrame:
    """Rows in the order of a diverse choice, with their ``diverse_rank`` from 1.

    ``ranked`` is what ``rank_scores`` returns without ``top``: its first row with a direction is
    chosen first. ``rows`` [n] are the numbers of the rows of ``directions`` [n, d], see
    ``diverse_order``. ``top`` keeps that many chosen rows, or that share of ``rows``; without it,
    rows without a direction come last.
    """
    places = pl.DataFrame({"row": rows, "place": np.arange(len(rows))})
    candidates = ranked.select("row").join(places, on="row", maintain_order="left")
    most = None if top is None else number_of_rows(top, candidates.height)
    order = diverse_order(directions[candidates["place"].to_numpy()], most)
    chosen = candidates.select("row")[order].with_columns(
        diverse_rank=pl.int_range(1, pl.len() + 1).cast(pl.Int64)
    )
    found = ranked.join(chosen, on="row", how="left", maintain_order="left")
    ordered = found.sort("diverse_rank", nulls_last=True, maintain_order=True)
    return ordered if top is None else ordered.drop_nulls("diverse_rank")


def number_of_rows(top: int | float, rows: int) -> int:
    """How many of ``rows`` the number or share ``top`` keeps; a share is rounded up."""
    return min(rows, math.ceil(top * rows) if isinstance(top, float) else top)


def _reduced(matrices: pl.LazyFrame, example: str, by: str) -> pl.DataFrame:
    """The column ``example`` and the ``score`` of each gradient matrix of a whole response."""
    matrices = whole_responses(matrices)
    reduced = (
        matrices if by in matrices.collect_schema().names() else reduce_spectra(matrices, [by])
    )
    return reduced.select(example, pl.col(by).alias("score")).collect()


def _usable_scores(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """The scores of a table's examples from its reduced parts."""
    scores = _means(pl.concat(parts), "example") if parts else SCORE_SCHEMA.to_frame()
    return conform_to_schema(scores.rename({"example": "row"}, strict=False), SCORE_SCHEMA)


def _means(reduced: pl.DataFrame, example: str) -> pl.DataFrame:
    return reduced.group_by(example).agg(mean_over_matrices("score"))


def with_reasons(scores: pl.DataFrame, by: str) -> pl.DataFrame:
    """Scores sorted by row; those without a score or a reason get one."""
    missing = pl.lit(
        f"its gradients have no {by}: they are zero, or their spectra too short for it"
    )
    unscored = pl.col("score").is_null() & pl.col("reason").is_null()
    return scores.with_columns(reason=pl.when(unscored).then(missing).otherwise("reason")).sort(
        "row"
    )
