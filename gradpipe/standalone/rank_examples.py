"""Examples scored by a model's gradients, and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gradpipe.conversations.examples import Example
from gradpipe.errors import StudyError, nearest
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import (
    Extras,
    ExtraScores,
    collect_extras,
    note_common_rows,
)
from gradpipe.standalone.ranking import choose_diverse, rank_scores, score_rows
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics

NO_EXTRAS = Extras()


@dataclass(frozen=True, kw_only=True)
class RankOrder:
    """How examples are scored and ordered.

    ``by`` is the statistic that gives the score; ``extras`` are further scores. ``sort`` is the
    column to order by, "score" or one of the further scores: by default ``target_cosine`` if there
    is a target set, and otherwise the score. ``ascending`` and ``top`` are those of
    ``rank_scores``. Raises StudyError for an unknown statistic or column.
    """

    by: str
    extras: Extras = NO_EXTRAS
    sort: str | None = None
    ascending: bool = False
    top: int | float | None = None

    def __post_init__(self) -> None:
        require_statistics([self.by], tuple(REDUCTIONS))
        known = ["score", *self.extras.columns]
        if self.sort is not None and self.sort not in known:
            raise StudyError(
                f"The ranking has no column {self.sort!r} to sort by: {nearest(self.sort, known)}"
            )

    @property
    def sorted_by(self) -> str:
        """The column that decides the order."""
        default = "score" if self.extras.target is None else "target_cosine"
        return self.sort or default

    @property
    def columns(self) -> list[str]:
        """The columns of a ranking, ``row`` apart."""
        own = ["score", "rank", "reason", *self.extras.columns]
        return [*own, "diverse_rank"] if self.extras.diverse else own

    def of_scores(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Scores in order, with ``rank``."""
        return rank_scores(scores, self.ascending, self.top, self.sorted_by)


def rank_by_model(
    runner: ExampleRunner, examples: Sequence[Example], order: RankOrder
) -> pl.DataFrame:
    """``row`` and the columns of ``order``, one row per example in order.

    A diverse choice starts with the first row of the order and has an order of its own. Raises
    DataError or ModelError.
    """
    note_common_rows(examples, order.extras)
    rows = runner.encode(examples)
    compared = collect_extras(runner, order.extras)
    frames = runner.spectra(rows, aligned=order.extras.needs_sketches)
    scores = score_rows(compared.watch(frames), order.by)
    alone = runner.losses_alone(rows) if "ifd" in order.extras.names else []
    scores = scores.join(compared.table(alone), on="row", how="left")
    return _diverse(scores, compared, order) if order.extras.diverse else order.of_scores(scores)


def _diverse(scores: pl.DataFrame, compared: ExtraScores, order: RankOrder) -> pl.DataFrame:
    ranked = rank_scores(scores, order.ascending, by=order.sorted_by)
    return choose_diverse(ranked, *compared.directions(), order.top)
