"""Estimate the cost of a study before it runs: rows, tokens, FLOPs, time, memory and disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from assets.planning.plan import Plan
from assets.planning.second_opinions import OpinionBill
from gradpipe.generators.bill import GeneratorBill, estimate_bill
from gradpipe.gradients.rows import with_keys
from gradpipe.system.units import format_amount, format_duration

if TYPE_CHECKING:
    from gradpipe.estimates.prices import Price
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel

ESTIMATE_COLUMNS = ("model", "benchmark", "rows", "of", "tokens", "time", "disk")
BILL_COLUMNS = ("model", "benchmark", "rows", "of", "tokens", "FLOPs", "time", "memory", "disk")


@dataclass(frozen=True)
class CostEstimate:
    """The cost of one model × benchmark: rows to compute, all rows, tokens, time, disk and FLOPs.

    ``seconds`` is None for a model without any measurements yet. ``bytes`` are on disk,
    ``memory`` the bytes that the weights and the largest batch take.
    """

    model: str
    benchmark: str
    rows: int
    all_rows: int
    tokens: int
    seconds: float | None
    bytes: float
    flops: float = 0.0
    memory: float = 0.0

    def cells(self) -> tuple[str, ...]:
        """The cells of a table row with ESTIMATE_COLUMNS."""
        return (
            *self._counts(),
            "not measured yet" if self.seconds is None else format_duration(self.seconds),
            format_amount(self.bytes, "B"),
        )

    def bill(self) -> tuple[str, ...]:
        """The cells of a table row with BILL_COLUMNS."""
        time_at_one_teraflop = f"{format_duration(self.flops / 1e12)} at 1 TFLOP/s"
        return (
            *self._counts(),
            format_amount(self.flops, "FLOP"),
            time_at_one_teraflop if self.seconds is None else format_duration(self.seconds),
            format_amount(self.memory, "B") if self.rows else "",
            format_amount(self.bytes, "B"),
        )

    def _counts(self) -> tuple[str, ...]:
        return self.model, self.benchmark, str(self.rows), str(self.all_rows), str(self.tokens)


@dataclass(frozen=True)
class Pace:
    """The measured cost per token of a model's rows."""

    seconds: float
    bytes: float


def estimates(
    plan: Plan, calibrate: bool = False, ignore_measured: bool = False
) -> Iterator[CostEstimate]:
    """Estimate every partition of the plan's grid; nothing is written.

    Rows and tokens are exact: the examples are built in memory and encoded. Time and disk come from
    the rows that the model has in the store already. If it has none, disk comes from the model's
    shape, and time is None or, with ``calibrate``, measured on a few batches here. With
    ``ignore_measured`` this is done for models with rows in the store, too. Otherwise no weights
    are loaded. Raises GradpipeError.
    """
    examples = {name: plan.examples(name) for name in plan.benchmarks}
    for model in plan.models:
        missing, all_rows = _missing(plan, model, examples)
        pace = None if ignore_measured else _pace(plan, model)
        calibrating = calibrate and pace is None and any(map(len, missing.values()))
        loaded = _load(plan, model) if calibrating else None
        rows, price_by_benchmark = _prices(plan, model, missing, loaded)
        del loaded
        for benchmark, price in price_by_benchmark.items():
            tokens = sum(len(row.ids) for row in rows[benchmark] if row.reason is None)
            count = missing[benchmark].height
            unmeasured = price.seconds if count else 0
            yield CostEstimate(
                model=model,
                benchmark=benchmark,
                rows=count,
                all_rows=all_rows[benchmark],
                tokens=tokens,
                seconds=pace.seconds * tokens if pace else unmeasured,
                bytes=pace.bytes * tokens if pace else price.disk,
                flops=price.flops,
                memory=price.memory,
            )


def generation_bills(plan: Plan) -> dict[str, GeneratorBill]:
    """Return the cost of the remaining generator calls, for each benchmark that has any.

    Responses that are not written yet have unknown lengths, so no estimate counts their examples.
    """
    unpaid = {name: plan.unpaid(name) for name in plan.benchmarks}
    return {
        name: estimate_bill(calls, plan.versions.study.generator)
        for name, calls in unpaid.items()
        if calls.height
    }


def opinion_bills(plan: Plan) -> dict[str, OpinionBill]:
    """Return the cost of the remaining calls to the judge, for each benchmark that has any."""
    bills = {name: plan.opinion_bill(name) for name in plan.benchmarks}
    return {name: bill for name, bill in bills.items() if bill is not None}


def total(partitions: Sequence[CostEstimate]) -> CostEstimate:
    """Sum the estimates, with the largest memory; time is None if any model with work has none."""
    with_work = [estimate for estimate in partitions if estimate.rows]
    unknown = any(estimate.seconds is None for estimate in with_work)
    return CostEstimate(
        model="in all",
        benchmark="",
        rows=sum(estimate.rows for estimate in partitions),
        all_rows=sum(estimate.all_rows for estimate in partitions),
        tokens=sum(estimate.tokens for estimate in partitions),
        seconds=None if unknown else sum(estimate.seconds or 0 for estimate in with_work),
        bytes=sum(estimate.bytes for estimate in with_work),
        flops=sum(estimate.flops for estimate in with_work),
        memory=max((estimate.memory for estimate in with_work), default=0.0),
    )


def _missing(
    plan: Plan, model: str, examples: dict[str, pl.DataFrame]
) -> tuple[dict[str, pl.DataFrame], dict[str, int]]:
    """Return the examples missing from a model's store and the total count, by benchmark."""
    study, workspace = plan.versions.study, plan.versions.workspace
    protocol, identity = plan.versions.protocol(model), plan.versions.row_identity(model)
    weights_gone = study.model(model).record is not None
    missing, all_rows = {}, {}
    for benchmark, rows in examples.items():
        keyed = with_keys(rows, protocol, identity).unique("key", maintain_order=True)
        store = workspace.spectra(model, benchmark)
        missing_keys = [] if weights_gone else store.missing(keyed["key"])
        missing[benchmark] = keyed.filter(pl.col("key").is_in(missing_keys))
        all_rows[benchmark] = keyed.height
    return missing, all_rows


def _prices(
    plan: Plan, model: str, missing: dict[str, pl.DataFrame], loaded: LoadedModel | None
) -> tuple[dict[str, list[TokenRow]], dict[str, Price]]:
    """Return a model's missing rows as tokens, and their cost, by benchmark."""
    from gradpipe.estimates.model_shape import config_shape
    from gradpipe.estimates.prices import Price, prices
    from gradpipe.gradients.examples import encode_examples
    from gradpipe.models.load import config_of

    config = plan.versions.study.model(model)
    if not any(map(len, missing.values())):
        nothing = Price(0.0, 0.0, 0.0, 0.0)
        return {name: [] for name in missing}, dict.fromkeys(missing, nothing)
    protocol = plan.versions.study.protocol_of(config)
    source, _ = plan.versions.model(model)
    rows = {
        name: encode_examples(source, config.location, protocol, examples)
        if examples.height
        else []
        for name, examples in missing.items()
    }
    shape = config_shape(config_of(source, config.location), config.location)
    checkpointing = config.gradient_checkpointing
    costs = prices(shape, protocol, list(rows.values()), checkpointing, loaded)
    return rows, dict(zip(rows, costs, strict=True))


def _load(plan: Plan, model: str) -> LoadedModel:
    from gradpipe.models.load import load_source

    config = plan.versions.study.model(model)
    dtype = plan.versions.study.protocol_of(config).dtype
    return load_source(plan.versions.model(model)[0], config.id, dtype, config.placement)


def _pace(plan: Plan, model: str) -> Pace | None:
    """Return a model's pace over all benchmarks of the study, or None if it has no rows."""
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
