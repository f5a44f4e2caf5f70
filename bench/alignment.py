"""The cost of cosines and sketches: the same rows extracted with and without them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from bench.data import count_tokens
from bench.ours import our_rows
from bench.settings import Say, Settings
from bench.timing import Stopwatch
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: Names of the methods, by whether cosines and sketches are computed.
METHODS = {True: "with", False: "without"}


def measure_alignment(
    loaded: LoadedModel, style: str, rows: list[TokenRow], settings: Settings, say: Say
) -> pl.DataFrame:
    """Time one style's rows with both methods (TIMINGS); their order alternates by round."""
    our_rows(loaded, rows[:2], settings.budget)
    watch = Stopwatch(style, loaded.device, say)
    for number in range(1, settings.rounds + 1):
        for aligned in (True, False) if number % 2 else (False, True):
            watch.take(
                number,
                METHODS[aligned],
                partial(our_rows, loaded, rows, settings.budget, aligned),
                examples=len(rows),
                tokens=count_tokens(rows),
                batching="its own",
            )
    return watch.timings


def summarize_alignment(timings: pl.DataFrame) -> pl.DataFrame:
    """One row per case: median seconds per example, and the median of the rounds' ratios."""
    per_example = timings.with_columns(per_example=pl.col("seconds") / pl.col("examples"))
    rounds = per_example.pivot(
        "method", index=["case", "round", "examples", "tokens"], values="per_example"
    )
    return rounds.group_by("case", maintain_order=True).agg(
        pl.col("examples").first(),
        tokens=(pl.col("tokens") / pl.col("examples")).first(),
        rounds=pl.len(),
        with_seconds=pl.col("with").median(),
        without_seconds=pl.col("without").median(),
        over_without=(pl.col("with") / pl.col("without")).median(),
    )
