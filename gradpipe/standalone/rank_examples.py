"""Examples scored by a model's gradients, and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.errors import StudyError, nearest
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import CommonRows, Extras
from gradpipe.standalone.ranking import choose_diverse, rank_scores
from gradpipe.standalone.scored_rows import SCORED, ScoreRows, directions_of, scores_of
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.sets.target_alignment import TargetSet, target_set

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

    def of_scored(self, scored: pl.DataFrame) -> pl.DataFrame:
        """The ranking of SCORED rows with ``row``: ``row`` and ``columns``, in order.

        A diverse choice starts with the first row of the order and has an order of its own.
        """
        scores = scores_of(scored, self.by, self.extras)
        if not self.extras.diverse:
            return self.of_scores(scores).select("row", *self.columns)
        ranked = rank_scores(scores, self.ascending, by=self.sorted_by)
        chosen = choose_diverse(ranked, *directions_of(scored), self.top)
        return chosen.select("row", *self.columns)


def rank_by_model(
    runner: ExampleRunner, examples: Sequence[Example], order: RankOrder
) -> pl.DataFrame:
    """``row`` and the columns of ``order``, one row per example in order.

    A diverse choice starts with the first row of the order and has an order of its own. Raises
    DataError or ModelError.
    """
    extras = order.extras
    if extras.target is not None:
        targets, keys = (
            [hash_examples([one]) for one in some] for some in (extras.target, examples)
        )
        common = CommonRows(extras, frozenset(targets))
        common.look_at(range(len(keys)), keys)
        common.note()
    rows = runner.encode(examples)
    score = ScoreRows(by=order.by, target=target_of(runner, extras), directions=extras.diverse)
    frames = [
        score(frame).with_columns(frame["row"])
        for frame in runner.spectra(rows, aligned=extras.needs_sketches)
    ]
    scored = pl.concat([pl.DataFrame(schema={**SCORED, "row": pl.Int64}), *frames])
    if "ifd" in extras.names:
        alone = pl.DataFrame({"alone": runner.losses_alone(rows)}, {"alone": pl.Float64})
        numbered = alone.with_row_index("row").cast({"row": pl.Int64})
        scored = scored.drop("alone").join(numbered, on="row", how="left")
    return order.of_scored(scored)


def target_of(runner: ExampleRunner, extras: Extras) -> TargetSet | None:
    """The target set, if there is one, from gradients that are computed here."""
    if extras.target is None:
        return None
    encoded = runner.encode(extras.target, name=f"{extras.target_name}, row")
    return target_in_order(pl.concat(runner.spectra(encoded)), extras)


def target_in_order(rows: pl.DataFrame, extras: Extras) -> TargetSet:
    """The target set of extracted rows; their order decides about the last digit of its mean."""
    return target_set([rows.sort("row")], extras.target_name)
