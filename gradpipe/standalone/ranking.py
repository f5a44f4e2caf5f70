"""Examples scored by one statistic and put in order."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from gradpipe.errors import DataError, GradpipeError
from gradpipe.gradients.rows import explode_matrices
from gradpipe.statistics.examples import mean_over_matrices
from gradpipe.statistics.reductions import REDUCTIONS, reduce_spectra, require_statistics
from gradpipe.statistics.table import as_table

#: One row an example: its number in the user's file, and why it has no score where it has none.
SCORE_SCHEMA = pl.Schema({"row": pl.Int64, "score": pl.Float64, "reason": pl.String})
#: Spectra that are reduced at once: some 50 MB in float64.
MATRICES_AT_ONCE = 2**14


def scores_of_rows(frames: Iterable[pl.DataFrame], by: str) -> pl.DataFrame:
    """A statistic of each example as its mean over layers and projections, as SCORE_SCHEMA.

    ``frames`` have ROW_SCHEMA; only one's spectra are in memory at a time. Raises StudyError for an
    unknown statistic.
    """
    require_statistics([by], tuple(REDUCTIONS))
    scored = [
        rows.select("row", "reason").join(
            _means(_reduced(explode_matrices(rows.lazy()), "row", by), "row"), on="row", how="left"
        )
        for rows in frames
    ]
    return _with_reasons(
        pl.concat([SCORE_SCHEMA.to_frame(), *(as_table(each, SCORE_SCHEMA) for each in scored)]), by
    )


def scores_of_table(path: Path, by: str) -> pl.DataFrame:
    """The same from a table of ``gradpipe extract``, whose metadata names the unusable rows.

    ``by`` is a column of it, or a statistic that can be made from its columns. Raises DataError
    where the file is not such a table, StudyError for a statistic that it cannot give.
    """
    with _as_no_table(path):
        columns, unusable = _about(path)
        require_statistics([by], _statistics_of(columns))
        needed = [by] if by in columns else REDUCTIONS[by].meta.root_names()
        reduced = [
            _reduced(matrices.lazy(), "example", by)
            for matrices in _batches(path, ["example", *needed])
        ]
        usable = _means(pl.concat(reduced), "example") if reduced else SCORE_SCHEMA.to_frame()
        usable = usable.rename({"example": "row"}, strict=False)
        scores = [as_table(usable, SCORE_SCHEMA), as_table(unusable, SCORE_SCHEMA)]
        return _with_reasons(pl.concat(scores), by)


def ranked(
    scores: pl.DataFrame, ascending: bool = False, top: int | float | None = None
) -> pl.DataFrame:
    """Scores in order, the largest first or, ``ascending``, the smallest: with ``rank`` from 1.

    Equal scores keep the order of their rows. ``top`` keeps so many, or of a float that share of
    those that have a score, rounded up; without it, rows without a score come last, in their order.
    """
    scored = scores.filter(pl.col("score").is_not_null())
    scored = scored.sort("score", "row", descending=[not ascending, False])
    scored = scored.with_columns(rank=pl.int_range(1, pl.len() + 1).cast(pl.Int64))
    if top is not None:
        return scored.head(math.ceil(top * scored.height) if isinstance(top, float) else top)
    rest = scores.filter(pl.col("score").is_null()).sort("row")
    return pl.concat([scored, rest.with_columns(rank=pl.lit(None, pl.Int64))])


@contextmanager
def _as_no_table(path: Path) -> Iterator[None]:
    """Say in one sentence what readers say of a file that is damaged, or of another kind."""
    try:
        yield
    except GradpipeError:
        raise
    # They raise errors of many kinds, and Polars a panic that is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{path} is no such Parquet file, or damaged: give a table that `gradpipe extract` "
            "wrote."
        ) from error


def _about(path: Path) -> tuple[list[str], pl.DataFrame]:
    """The columns of a table of spectra, and its unusable rows with their reasons."""
    from pyarrow import parquet

    # A pipe would be waited for without end.
    if not path.is_file():
        raise DataError(f"{path} is not there: give a table that `gradpipe extract` wrote.")
    with parquet.ParquetFile(path) as file:
        names, metadata = file.schema_arrow.names, file.metadata.metadata or {}
    if "example" not in names:
        raise DataError(
            f"{path} has no column 'example', only {', '.join(names)}: give a table that "
            "`gradpipe extract` wrote."
        )
    unusable = json.loads(metadata.get(b"unusable", b"[]"))
    return names, pl.DataFrame(unusable, schema=["row", "reason"], orient="row")


def _batches(path: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a table whose spectra may not fit in memory all at once."""
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(MATRICES_AT_ONCE, columns=columns):
        yield pl.DataFrame(batch)


def _statistics_of(columns: list[str]) -> list[str]:
    """The statistics that a table has, or has all that is needed for."""
    return [
        name
        for name, reduction in REDUCTIONS.items()
        if name in columns or set(reduction.meta.root_names()) <= set(columns)
    ]


def _reduced(matrices: pl.LazyFrame, example: str, by: str) -> pl.DataFrame:
    """``score``, of each gradient of an example."""
    reduced = (
        matrices if by in matrices.collect_schema().names() else reduce_spectra(matrices, [by])
    )
    return reduced.select(example, pl.col(by).alias("score")).collect()


def _means(reduced: pl.DataFrame, example: str) -> pl.DataFrame:
    return reduced.group_by(example).agg(mean_over_matrices("score"))


def _with_reasons(scores: pl.DataFrame, by: str) -> pl.DataFrame:
    none = pl.lit(f"its gradients have no {by}: they are zero, or their spectra too short for it")
    unscored = pl.col("score").is_null() & pl.col("reason").is_null()
    return scores.with_columns(reason=pl.when(unscored).then(none).otherwise("reason")).sort("row")
