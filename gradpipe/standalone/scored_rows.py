"""What a ranking keeps of each example: its score, and what further scores are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.conversations.examples import hash_examples
from gradpipe.standalone.extra_scores import Extras, derived_columns
from gradpipe.standalone.ranking import SCORE_SCHEMA, score_frame, with_reasons
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.statistics.sets.sketch_vectors import sketch_vectors
from gradpipe.statistics.sets.target_alignment import TARGET_COLUMNS, TargetSet
from gradpipe.system.hashing import content_hash

#: Raise it when a column changes its meaning.
SCORES_VERSION = "1"
#: One row per example; ``alone`` is the loss of the response without its instruction, ``direction``
#: the folded gradient of a diverse choice. Null is what the ranking does not need.
SCORED = pl.Schema(
    {
        "reason": pl.String(),
        "truncated": pl.Boolean(),
        "score": pl.Float64(),
        "loss": pl.Float64(),
        "response_tokens": pl.Int64(),
        "alone": pl.Float64(),
        **dict.fromkeys(TARGET_COLUMNS, pl.Float64()),
        "direction": pl.List(pl.Float32),
    }
)
KEPT_SCORES = pl.Schema({"key": pl.String(), **SCORED})


@dataclass(frozen=True, kw_only=True)
class ScoreRows:
    """Scores extracted rows (ROW_SCHEMA, with any key) by the statistic ``by``.

    With a ``target`` they are aligned with it, and with ``directions`` these are kept.
    """

    by: str
    target: TargetSet | None = None
    directions: bool = False

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as SCORED, with their ``key``, in their order."""
        numbered = rows.drop("row", strict=False).with_row_index("row").cast({"row": pl.Int64})
        measured = numbered.select(
            "row",
            *(name for name in ("key", "alone") if name in rows.columns),
            "truncated",
            "loss",
            "response_tokens",
        )
        scores = score_frame(numbered, self.by)
        scored = measured.join(scores, on="row", how="left", maintain_order="left")
        if self.target is not None or self.directions:
            scored = scored.join(
                self._compared(numbered), on="row", how="left", maintain_order="left"
            )
        missing = [
            pl.lit(None, kind).alias(name)
            for name, kind in SCORED.items()
            if name not in scored.columns
        ]
        keys = [name for name in ("key",) if name in rows.columns]
        return scored.with_columns(missing).select(*keys, *SCORED)

    def _compared(self, rows: pl.DataFrame) -> pl.DataFrame:
        vectors = sketch_vectors(rows)
        table = pl.DataFrame({"row": vectors.rows}, {"row": pl.Int64})
        if not len(vectors.rows):
            return table
        if self.target is not None:
            table = table.join(self.target.alignment(vectors), on="row")
        if self.directions:
            folded = pl.Series("direction", vectors.folded().astype(np.float32))
            table = table.with_columns(folded.arr.to_list())
        return table


def score_identity(by: str, extras: Extras) -> str:
    """A hash of all that SCORED rows depend on, apart from the spectra."""
    target = None if extras.target is None else hash_examples(extras.target)
    return content_hash(
        SCORES_VERSION, STATISTICS_VERSION, by, "ifd" in extras.names, target, extras.diverse
    )


def needed_of(scored: pl.DataFrame, extras: Extras) -> pl.DataFrame:
    """SCORED rows with ``row`` without the columns that a ranking does not need."""
    names = [*SCORE_SCHEMA]
    if extras.columns:
        names += ["loss", "response_tokens", "alone", *TARGET_COLUMNS]
    return scored.select(*names, *(["direction"] if extras.diverse else []))


def scores_of(scored: pl.DataFrame, by: str, extras: Extras) -> pl.DataFrame:
    """SCORE_SCHEMA with the columns of ``extras``, from SCORED rows with ``row``."""
    scores = with_reasons(scored.select(SCORE_SCHEMA.names()), by)
    if not extras.columns:
        return scores
    usable = derived_columns(scored.filter(pl.col("reason").is_null()), extras)
    return scores.join(usable.select("row", *extras.columns), on="row", how="left")


def directions_of(scored: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The numbers of the rows with a direction [n], and these [n, d], from SCORED with ``row``."""
    rows = scored.drop_nulls("direction")
    if rows.is_empty():
        return np.zeros(0, np.int64), np.zeros((0, 1), np.float32)
    width = len(rows["direction"][0])
    return rows["row"].to_numpy(), rows["direction"].list.to_array(width).to_numpy()
