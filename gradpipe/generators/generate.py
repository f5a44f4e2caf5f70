"""Generate responses: send the calls, and store each answer as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from gradpipe.errors import GradpipeError
from gradpipe.generators.answers import GeneratedAnswer, Outcome, answer_rows, priced
from gradpipe.generators.calls import PLAN_SCHEMA
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger
from gradpipe.system.extras import OPTIONAL_PACKAGES, missing_package
from gradpipe.system.units import format_cost

#: The longest that an interrupted run waits for calls in flight, in seconds.
GRACE = 60.0
#: The run stops after this many failed calls in a row.
FAILURES_IN_A_ROW = 25


@dataclass(frozen=True)
class GenerationProgress:
    """The progress of a run: ``requests`` counts attempts; tokens are those of stored answers.

    ``cost`` is the sum of their known costs, None if none is known; ``cut`` counts the answers from
    which a stop token was cut.
    """

    calls: int
    kept: int = 0
    failed: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = None
    cut: int = 0

    @property
    def left(self) -> int:
        """Calls without an answer or a failure."""
        return self.calls - self.kept - self.failed


@dataclass(frozen=True)
class GenerationSummary:
    """The result of a run: ``failed`` maps keys to reasons; ``stopped`` is the reason why calls are
    left, or None if none are. ``next_step`` is what to do to get their answers, if it is more than
    another run, and ``notes`` say what was not used; each is part of a sentence.
    """

    progress: GenerationProgress
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    next_step: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """The number of different calls."""
        return self.progress.calls

    @property
    def kept(self) -> int:
        """The number of answered calls."""
        return self.progress.kept

    @property
    def left(self) -> int:
        """The number of calls without an answer or a failure."""
        return self.progress.left

    def sentence(self) -> str:
        """Return the numbers in one sentence."""
        done = self.progress
        tokens = f"{done.prompt_tokens} prompt and {done.response_tokens} response tokens"
        text = f"{done.kept} of {done.calls} responses written in {done.requests} requests"
        text += (
            f" ({tokens}" + ("" if done.cost is None else f", for {format_cost(done.cost)}") + ")"
        )
        if self.failed:
            text += f", {len(self.failed)} failed"
        if done.cut:
            text += f"; in {done.cut} responses a stop token was cut"
        text = "; ".join([text, *self.notes, *([self.next_step] if self.next_step else [])])
        return f"{text}; {self.stopped}" if self.stopped else f"{text}."


def generate(
    calls: pl.DataFrame,
    config: GeneratorConfig,
    keep: Callable[[pl.DataFrame], None],
    report: Callable[[GenerationProgress], None] | None = None,
) -> GenerationSummary:
    """Make the calls (PLAN_SCHEMA), each key once, and pass every answer to ``keep``.

    ``keep`` gets frames of CALL_SCHEMA in the caller's thread: one row per answer of a server, one
    batch at a time of a local model or of batch files. After an interruption it may get a row
    twice. Failed calls are in the summary. Before an exception leaves this function, including
    Ctrl-C, it waits for the calls in flight and keeps their answers. Raises GradpipeError for a
    missing or rejected key and for a model that the server does not have, ModelError if a local
    model fails.
    """
    plan = calls.match_to_schema(PLAN_SCHEMA, extra_columns="ignore")
    rows = plan.unique("key", keep="first", maintain_order=True).to_dicts()
    run = _Run(len(rows), config, keep, report)
    if not rows:
        return run.summary()
    if config.kind == "source":
        raise GradpipeError(
            "The generator 'source' writes nothing: use 'openai' or 'transformers'."
        )
    ways = {
        "openai": _generate_by_server,
        "batch": _generate_by_files,
        "transformers": _generate_locally,
        "vllm": _generate_by_vllm,
    }
    ways[config.kind](rows, config, run)
    return run.summary()


def _generate_locally(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    # Imports torch.
    from gradpipe.generators.local import answer_locally

    for outcomes in answer_locally(rows, config, run.ledger):
        run.take(outcomes)


def _generate_by_vllm(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    from gradpipe.generators.vllm_engine import answer_by_vllm

    for outcomes in answer_by_vllm(rows, config, run.ledger):
        run.take(outcomes)


def _generate_by_files(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    with _packages_of("batch"):
        from gradpipe.generators.batch import BatchRun

    batch = BatchRun(rows, config, run.ledger)
    for outcomes in batch.outcomes():
        run.take(outcomes)
    run.next_step, run.notes = batch.next_step, tuple(batch.notes)


@contextmanager
def _packages_of(kind: str) -> Iterator[None]:
    """Name the extra if one of its packages is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL_PACKAGES:
            raise
        raise GradpipeError(missing_package(error.name, f"The generator {kind!r}")) from error


def _generate_by_server(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    with _packages_of("openai"):
        from gradpipe.generators.exchange import open_exchange

    with open_exchange(rows, config, run.ledger) as exchange:
        try:
            for outcome in exchange.outcomes():
                run.take([outcome])
                if run.failures_in_a_row >= FAILURES_IN_A_ROW:
                    exchange.stop(run.too_many_failures())
        except BaseException:
            exchange.stop("the run was interrupted.")
            for outcome in exchange.outcomes(within=min(config.timeout, GRACE)):
                # The first error is reported; another one of ``keep`` adds nothing.
                with suppress(Exception):
                    run.take([outcome])
            raise


class _Run:
    """The results of a run so far."""

    def __init__(
        self,
        calls: int,
        config: GeneratorConfig,
        keep: Callable[[pl.DataFrame], None],
        report: Callable[[GenerationProgress], None] | None,
    ) -> None:
        self.ledger = Ledger(config.budget)
        self.failures_in_a_row = 0
        self.next_step: str | None = None
        self.notes: tuple[str, ...] = ()
        self._failed: dict[str, str] = {}
        self._price = config.price
        self._keep = keep
        self._report = report
        self._started = time.monotonic()
        self._progress = GenerationProgress(calls)

    def take(self, outcomes: list[Outcome]) -> None:
        """Store the answers, record the failures, and report the progress."""
        outcomes = priced(outcomes, self._price)
        answers = [
            outcome.result for outcome in outcomes if isinstance(outcome.result, GeneratedAnswer)
        ]
        if answers:
            self._keep(answer_rows(outcomes))
        for outcome in outcomes:
            if isinstance(outcome.result, GeneratedAnswer):
                self.failures_in_a_row = 0
            else:
                self.failures_in_a_row += 1
                self._failed[outcome.key] = outcome.result.reason
        self._progress = replace(
            self._now(),
            kept=self._progress.kept + len(answers),
            failed=len(self._failed),
            prompt_tokens=self._progress.prompt_tokens
            + sum(answer.prompt_tokens or 0 for answer in answers),
            response_tokens=self._progress.response_tokens
            + sum(answer.response_tokens or 0 for answer in answers),
            cost=_sum_of_known([self._progress.cost, *(answer.cost for answer in answers)]),
            cut=self._progress.cut + sum(answer.cut is not None for answer in answers),
        )
        if self._report is not None:
            self._report(self._progress)

    def too_many_failures(self) -> str:
        """Return the reason to stop after many failures in a row."""
        reason = list(self._failed.values())[-1]
        return (
            f"{self.failures_in_a_row} calls in a row failed, the last one because {reason}: "
            "check the server, then run again."
        )

    def summary(self) -> GenerationSummary:
        """Return the results so far, with the reason to stop if calls are left."""
        progress = self._now()
        stopped = self.ledger.stopped if progress.left else None
        return GenerationSummary(
            progress, dict(self._failed), stopped, next_step=self.next_step, notes=self.notes
        )

    def _now(self) -> GenerationProgress:
        seconds = time.monotonic() - self._started
        return replace(self._progress, requests=self.ledger.requests, seconds=seconds)


def _sum_of_known(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None
