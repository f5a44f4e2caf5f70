"""The way in: calls go out, and each answer is kept as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from gradpipe.errors import GradpipeError
from gradpipe.generators.answers import GeneratedAnswer, Outcome, answer_rows
from gradpipe.generators.calls import PLAN_SCHEMA
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger
from gradpipe.generators.local import answer_locally
from gradpipe.system.extras import OPTIONAL_PACKAGES, missing_package

#: Seconds at most in which an interrupted run waits for what is in flight.
GRACE = 60.0
#: A server that fails so many calls one after the other is left alone.
FAILURES_IN_A_ROW = 25


@dataclass(frozen=True)
class GenerationProgress:
    """How far a run is. ``requests`` counts attempts, tokens those of kept answers."""

    calls: int
    kept: int = 0
    failed: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    response_tokens: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Calls that were neither answered nor given up."""
        return self.calls - self.kept - self.failed


@dataclass(frozen=True)
class GenerationSummary:
    """What a run did. ``failed`` has a reason for each key that was given up; ``stopped`` says
    why calls are left, where some are.
    """

    progress: GenerationProgress
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def calls(self) -> int:
        """How many different calls there were."""
        return self.progress.calls

    @property
    def kept(self) -> int:
        """How many were answered."""
        return self.progress.kept

    @property
    def left(self) -> int:
        """How many were neither answered nor given up."""
        return self.progress.left

    def sentence(self) -> str:
        """The numbers in one sentence."""
        done = self.progress
        tokens = f"{done.prompt_tokens} prompt and {done.response_tokens} response tokens"
        text = f"{done.kept} of {done.calls} responses written in {done.requests} requests"
        text += f" ({tokens})"
        if self.failed:
            text += f", {len(self.failed)} failed"
        return f"{text}; {self.stopped}" if self.stopped else f"{text}."


def generate(
    calls: pl.DataFrame,
    config: GeneratorConfig,
    keep: Callable[[pl.DataFrame], None],
    report: Callable[[GenerationProgress], None] | None = None,
) -> GenerationSummary:
    """Make the calls (PLAN_SCHEMA), each key once, and hand every answer to ``keep``.

    ``keep`` gets frames of CALL_SCHEMA in the caller's thread: one row as it arrives, from a local
    model one batch. It may see a row again after an interruption in its midst. Failed calls are
    named in the summary, not kept. Where anything is raised, by Ctrl-C too, calls in flight are
    waited for and kept before it goes on. Raises GradpipeError for a key that is missing or
    refused and a model that the server does not have, ModelError for a local model's faults.
    """
    plan = calls.match_to_schema(PLAN_SCHEMA, extra_columns="ignore")
    rows = plan.unique("key", keep="first", maintain_order=True).to_dicts()
    run = _Run(len(rows), config, keep, report)
    if not rows:
        return run.summary()
    if config.kind == "source":
        raise GradpipeError(
            "The generator 'source' writes nothing: choose 'openai' or 'transformers'."
        )
    if config.kind == "transformers":
        _generate_locally(rows, config, run)
    else:
        _generate_by_server(rows, config, run)
    return run.summary()


def _generate_locally(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    for outcomes in answer_locally(rows, config, run.ledger):
        run.take(outcomes)


def _generate_by_server(rows: list[dict[str, Any]], config: GeneratorConfig, run: _Run) -> None:
    # Its packages are an extra.
    try:
        from gradpipe.generators.exchange import open_exchange
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL_PACKAGES:
            raise
        raise GradpipeError(missing_package(error.name, "The generator 'openai'")) from error

    with open_exchange(rows, config, run.ledger) as exchange:
        try:
            for outcome in exchange.outcomes():
                run.take([outcome])
                if run.failures_in_a_row >= FAILURES_IN_A_ROW:
                    exchange.stop(run.despair())
        except BaseException:
            exchange.stop("interrupted.")
            for outcome in exchange.outcomes(within=min(config.timeout, GRACE)):
                # What broke off the run is what matters; a second fault of the kind adds nothing.
                with suppress(Exception):
                    run.take([outcome])
            raise


class _Run:
    """What became of a run's calls so far."""

    def __init__(
        self,
        calls: int,
        config: GeneratorConfig,
        keep: Callable[[pl.DataFrame], None],
        report: Callable[[GenerationProgress], None] | None,
    ) -> None:
        self.ledger = Ledger(config.budget)
        self.failures_in_a_row = 0
        self._failed: dict[str, str] = {}
        self._keep = keep
        self._report = report
        self._started = time.monotonic()
        self._progress = GenerationProgress(calls)

    def take(self, outcomes: list[Outcome]) -> None:
        """Keep the answers, note the failures, and report."""
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
        )
        if self._report is not None:
            self._report(self._progress)

    def despair(self) -> str:
        """Why a server that fails every call is left alone."""
        reason = list(self._failed.values())[-1]
        return (
            f"{self.failures_in_a_row} calls in a row failed, the last because {reason}: see to "
            "the server, then run again."
        )

    def summary(self) -> GenerationSummary:
        """The run so far; the reason to stop is worth telling only where calls are left."""
        progress = self._now()
        stopped = self.ledger.stopped if progress.left else None
        return GenerationSummary(progress, dict(self._failed), stopped)

    def _now(self) -> GenerationProgress:
        seconds = time.monotonic() - self._started
        return replace(self._progress, requests=self.ledger.requests, seconds=seconds)
