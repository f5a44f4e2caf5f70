"""Scores beside the statistic that a ranking is by: loss, length, perplexity, IFD, a target set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradpipe.conversations.examples import Example
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.standalone.shard_files import spectra_files
from gradpipe.statistics.sets.target_alignment import TARGET_COLUMNS, TARGET_ROWS
from gradpipe.statistics.table import whole_responses

#: The column of each score that may be asked for.
EXTRA_COLUMNS = {
    "loss": "loss",
    "tokens": "response_tokens",
    "ppl": "perplexity",
    "ifd": "ifd",
}
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


def added_columns(
    measured: pl.DataFrame, extras: Extras, losses_alone: Sequence[float | None] = ()
) -> pl.DataFrame:
    """Add perplexity and IFD to ``row``, ``loss`` and ``response_tokens``.

    Perplexity is exp(loss). IFD, the instruction-following difficulty, is the perplexity of the
    response given its instruction over that of the response alone (Li et al. 2024,
    "Superfiltering"). Either is null if it is beyond a float's largest number.
    """
    if "ifd" in extras.names:
        alone = pl.DataFrame(
            {"row": range(len(losses_alone)), "alone": losses_alone},
            schema={"row": pl.Int64, "alone": pl.Float64},
        )
        measured = measured.join(alone, on="row", how="left")
    return derived_columns(measured, extras)


def derived_columns(measured: pl.DataFrame, extras: Extras) -> pl.DataFrame:
    """The same with the losses of responses without their instructions in a column ``alone``."""
    columns = [pl.col("loss").exp().alias("perplexity")]
    if "ifd" in extras.names:
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
    measured = pl.concat(
        whole_responses(pl.scan_parquet(file, glob=False))
        .group_by(pl.col("example").cast(pl.Int64).alias("row"))
        .agg(pl.col("loss", "response_tokens").first())
        .collect()
        for file in spectra_files(path)
    )
    return added_columns(measured, extras).select("row", *extras.columns)


@dataclass
class CommonRows:
    """Counts the examples that are in the target set too, by the ``targets``' keys."""

    extras: Extras
    targets: frozenset[str]
    _rows: int = 0
    _common: int = 0
    _first: int = 0

    def look_at(self, numbers: Sequence[int], keys: Sequence[str]) -> None:
        """Look at examples with these numbers in the data and keys."""
        common = [n for n, key in zip(numbers, keys, strict=True) if key in self.targets]
        if common and not self._common:
            self._first = common[0]
        self._common += len(common)
        self._rows += len(numbers)

    def note(self) -> None:
        """Log how many there are; they are ranked like all others."""
        if self._common:
            _log.warning(
                "%s of %s rows are in %s too (first: row %s): they are ranked like the others, and "
                "their cosines are large for that reason.",
                f"{self._common:,}",
                f"{self._rows:,}",
                self.extras.target_name,
                self._first,
            )
