"""What a backfill would cost, before it is paid: rows, tokens, time and disk of every partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assets.plan import Plan
from gradpipe.gradients.examples import count_tokens
from gradpipe.gradients.keys import with_keys

ESTIMATE_COLUMNS = ("model", "benchmark", "rows", "of", "tokens", "time", "disk")


@dataclass(frozen=True)
class Estimate:
    """One model × benchmark: rows to compute of all rows, their tokens, and what they cost.

    ``seconds`` and ``bytes`` are None for a model of which nothing was measured yet.
    """

    model: str
    benchmark: str
    rows: int
    all_rows: int
    tokens: int
    seconds: float | None
    bytes: float | None

    def cells(self) -> tuple[str, ...]:
        """As a line of a table with ESTIMATE_COLUMNS."""
        unknown = "not measured yet" if self.rows else ""
        return (
            self.model,
            self.benchmark,
            str(self.rows),
            str(self.all_rows),
            str(self.tokens),
            unknown if self.seconds is None else f"{timedelta(seconds=round(self.seconds))}",
            unknown if self.bytes is None else f"{self.bytes / 1e6:.1f} MB",
        )


@dataclass(frozen=True)
class Pace:
    """What a model's rows cost so far, per token."""

    seconds: float
    bytes: float


def estimates(plan: Plan) -> Iterator[Estimate]:
    """Every partition of the plan's grid; nothing is written and no weights are loaded.

    Rows and tokens are exact: examples are made as they would be, in memory, and encoded. Time and
    disk come from the rows that the model has in the store already. Raises GradpipeError.
    """
    examples = {name: plan.examples(name) for name in plan.benchmarks}
    study, workspace = plan.versions.study, plan.versions.workspace
    for model in plan.models:
        config, fingerprint = study.model(model), plan.versions.model(model)[1]
        protocol = study.protocol_of(config)
        pace = _pace(plan, model)
        for benchmark, rows in examples.items():
            keyed = with_keys(rows, protocol, fingerprint).unique("key", maintain_order=True)
            lacking = workspace.spectra(model, benchmark).missing(keyed["key"])
            missing = keyed.filter(pl.col("key").is_in(lacking))
            tokens = 0
            if missing.height:
                counted = count_tokens(config.id, config.revision, protocol, missing)
                tokens = int(counted.sum())
            yield Estimate(
                model,
                benchmark,
                missing.height,
                keyed.height,
                tokens,
                pace.seconds * tokens if pace else None,
                pace.bytes * tokens if pace else None,
            )


def total(found: Sequence[Estimate]) -> Estimate:
    """The sum; its time and disk are None where those of any model with work are."""
    costs = [estimate for estimate in found if estimate.rows]
    unknown = any(estimate.seconds is None for estimate in costs)
    return Estimate(
        "in all",
        "",
        sum(estimate.rows for estimate in found),
        sum(estimate.all_rows for estimate in found),
        sum(estimate.tokens for estimate in found),
        None if unknown else sum(estimate.seconds or 0 for estimate in costs),
        None if unknown else sum(estimate.bytes or 0 for estimate in costs),
    )


def _pace(plan: Plan, model: str) -> Pace | None:
    """A model's pace over all benchmarks of the study; None where it has no rows."""
    workspace = plan.versions.workspace
    tokens, seconds, size = 0, 0.0, 0
    for benchmark in plan.versions.study.benchmarks:
        index = workspace.spectra_index(model, benchmark.name)
        if index.notes() is None:
            continue
        rows = index.read().unique("key")
        tokens += int(rows["tokens"].sum())
        seconds += float(rows["seconds"].sum())
        size += workspace.spectra(model, benchmark.name).bytes()
    return Pace(seconds / tokens, size / tokens) if tokens else None
