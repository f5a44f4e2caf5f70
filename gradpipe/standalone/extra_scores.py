"""Scores beside the statistic that a ranking is by: loss, length, perplexity, IFD, a target set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.statistics.sets.sketch_vectors import sketch_vectors
from gradpipe.statistics.sets.target_alignment import (
    TARGET_COLUMNS,
    TARGET_ROWS,
    TargetSet,
    target_set,
)
from gradpipe.statistics.table import whole_responses

#: The column of each score that may be asked for.
EXTRA_COLUMNS = {
    "loss": "loss",
    "tokens": "response_tokens",
    "ppl": "perplexity",
    "ifd": "ifd",
}
_MEASURED = pl.Schema({"row": pl.Int64, "loss": pl.Float64, "response_tokens": pl.Int64})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What a ranking adds: ``names`` of EXTRA_COLUMNS, the alignment with a ``target``, diversity.

    ``target_name`` is the target set's name in messages. Raises StudyError for an unknown name,
    DataError for a target set that is too large.
    """

    names: Sequence[str] = ()
    target: Sequence[Example] | None = None
    target_name: str = "the target set"
    diverse: bool = False

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in EXTRA_COLUMNS:
                raise StudyError(
                    f"There is no score {name!r} to add: {nearest(name, list(EXTRA_COLUMNS))}"
                )
        if self.target is not None and len(self.target) > TARGET_ROWS:
            raise DataError(
                f"{self.target_name} has {len(self.target):,} rows and a target set at most "
                f"{TARGET_ROWS:,}: give a sample of them."
            )

    @property
    def columns(self) -> list[str]:
        """The columns of scores that are added, in their order."""
        own = [column for name, column in EXTRA_COLUMNS.items() if name in self.names]
        return [*own, *(TARGET_COLUMNS if self.target is not None else ())]

    @property
    def needs_sketches(self) -> bool:
        """Whether gradients are compared with each other."""
        return self.target is not None or self.diverse


@dataclass
class ExtraScores:
    """Collects what is added to a ranking while the spectra of its rows pass by.

    ``directions`` has the ``rows`` of which it has a line; both are empty without ``diverse``.
    """

    extras: Extras
    target: TargetSet | None = None
    _measured: list[pl.DataFrame] = field(default_factory=list)
    _aligned: list[pl.DataFrame] = field(default_factory=list)
    _rows: list[NDArray[np.int64]] = field(default_factory=list)
    _directions: list[NDArray[np.float32]] = field(default_factory=list)

    def watch(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield each frame of ROW_SCHEMA after taking from it what is needed."""
        for frame in frames:
            usable = frame.filter(pl.col("reason").is_null())
            self._measured.append(usable.select(_MEASURED.names()))
            if self.extras.needs_sketches:
                self._compare(usable)
            yield frame

    def _compare(self, frame: pl.DataFrame) -> None:
        vectors = sketch_vectors(frame)
        if self.target is not None and len(vectors.rows):
            self._aligned.append(self.target.alignment(vectors))
        if self.extras.diverse:
            self._rows.append(vectors.rows)
            self._directions.append(vectors.folded())

    def table(self, losses_alone: Sequence[float | None] = ()) -> pl.DataFrame:
        """``row`` and the added columns, one row per usable example.

        ``losses_alone`` are the losses of all responses without their instructions, for the IFD.
        """
        measured = pl.concat([_MEASURED.to_frame(), *self._measured])
        aligned = pl.concat(self._aligned) if self._aligned else _no_alignment()
        return (
            added_columns(measured, self.extras, losses_alone)
            .join(aligned, on="row", how="left")
            .select("row", *self.extras.columns)
        )

    def directions(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The numbers of the rows with a gradient [n], and their directions [n, d]."""
        kept = [part for part in self._directions if len(part)]
        rows = np.concatenate([np.zeros(0, np.int64), *self._rows])
        return rows, np.concatenate(kept) if kept else np.zeros((0, 1), np.float32)


def added_columns(
    measured: pl.DataFrame, extras: Extras, losses_alone: Sequence[float | None] = ()
) -> pl.DataFrame:
    """Add perplexity and IFD to ``row``, ``loss`` and ``response_tokens``.

    Perplexity is exp(loss). IFD, the instruction-following difficulty, is the perplexity of the
    response given its instruction over that of the response alone (Li et al. 2024,
    "Superfiltering"). Either is null if it is beyond a float's largest number.
    """
    columns = [pl.col("loss").exp().alias("perplexity")]
    if "ifd" in extras.names:
        alone = pl.DataFrame(
            {"row": range(len(losses_alone)), "alone": losses_alone},
            schema={"row": pl.Int64, "alone": pl.Float64},
        )
        measured = measured.join(alone, on="row", how="left")
        columns.append((pl.col("loss") - pl.col("alone")).exp().alias("ifd"))
    added = measured.with_columns(columns)
    names = [column.meta.output_name() for column in columns]
    return added.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names
    )


def added_from_spectra(path: Path, extras: Extras) -> pl.DataFrame:
    """``row`` and the added columns from a file of ``gradpipe extract``.

    Raises DataError for a score that does not follow from the file.
    """
    cannot = [
        option
        for option, asked in (
            ("--target", extras.target is not None),
            ("--diverse", extras.diverse),
            ("--with ifd", "ifd" in extras.names),
        )
        if asked
    ]
    if cannot:
        raise DataError(
            f"{cannot[0]} does not follow from the spectra in {path}: give --model instead of "
            "--spectra."
        )
    measured = (
        whole_responses(pl.scan_parquet(path))
        .group_by(pl.col("example").cast(pl.Int64).alias("row"))
        .agg(pl.col("loss", "response_tokens").first())
        .collect()
    )
    return added_columns(measured, extras).select("row", *extras.columns)


def collect_extras(runner: ExampleRunner, extras: Extras) -> ExtraScores:
    """The collector of a ranking; computes the target set's gradients, if there is one."""
    if extras.target is None:
        return ExtraScores(extras)
    encoded = runner.encode(extras.target, name=f"{extras.target_name}, row")
    return ExtraScores(extras, target_set(runner.spectra(encoded), extras.target_name))


def note_common_rows(examples: Sequence[Example], extras: Extras) -> None:
    """Log how many examples are in the target set too; they are ranked like all others."""
    if extras.target is None:
        return
    targets = {hash_examples([example]) for example in extras.target}
    common = [n for n, example in enumerate(examples) if hash_examples([example]) in targets]
    if common:
        _log.warning(
            "%s of %s rows are in %s too (first: row %s): they are ranked like the others, and "
            "their cosines are large for that reason.",
            f"{len(common):,}",
            f"{len(examples):,}",
            extras.target_name,
            common[0],
        )


def _no_alignment() -> pl.DataFrame:
    return pl.DataFrame(schema={"row": pl.Int64} | dict.fromkeys(TARGET_COLUMNS, pl.Float64))
