"""Transient failures are retried, in smaller batches or after a wait; others fail at once."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import assets.benchmark_items
import assets.stage_run
import gradpipe.engines.local
import gradpipe.gradients.loop
import gradpipe.gradients.passes.batches
from assets.resources import Accelerator
from assets.running.runner import Runner
from assets.stage_run import MAX_RETRIES
from gradpipe.cli import main
from gradpipe.errors import DataError, ModelError
from storage.workspace import Workspace
from tests.assets.conftest import finished_study

QUESTIONS = {"name": "mini_obscure", "sample": 2}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts after which a wait was asked for; none is waited for."""
    asked: list[int] = []
    monkeypatch.setattr(assets.stage_run, "backoff", lambda number: asked.append(number) or 0.0)
    return asked


def bring_up(folder: Path) -> Runner:
    runner = Runner(
        Workspace.current(), finished_study(folder, benchmarks=[QUESTIONS]), Accelerator()
    )
    runner.bring_up_to_date()
    return runner


def allow_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradpipe.gradients.loop, "FIRST_BUDGET", 4096)
    for name in ("CPU_LEAST", "CPU_BUDGET"):
        monkeypatch.setattr(gradpipe.gradients.passes.batches, name, 4096)


def failing_load(
    monkeypatch: pytest.MonkeyPatch, error: Exception, times: int | None = None
) -> list[str]:
    """Loading a model raises the error, that often or always; the list grows at each attempt."""
    attempts: list[str] = []
    load = Accelerator.load

    def load_or_fail(self: Accelerator, source: Any, name: str, *rest: Any) -> Any:
        attempts.append(name)
        if times is None or len(attempts) <= times:
            raise error
        return load(self, source, name, *rest)

    monkeypatch.setattr(Accelerator, "load", load_or_fail)
    return attempts


@pytest.mark.usefixtures("plain_report")
def test_a_network_that_did_not_answer_is_asked_again_after_longer_and_longer_waits(
    finished: Path, home: Path, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing_load(monkeypatch, ModelError("No answer: wait.", transient=True), times=2)
    runner = bring_up(finished)
    assert not runner.failures
    assert len(attempts) == 3
    assert waits == [0, 1]
    assert runner.counts["gradient_spectra"].computed == 4


def test_the_waits_grow() -> None:
    assert [assets.stage_run.backoff(number) for number in range(MAX_RETRIES)] == [5, 20, 80, 320]


@pytest.mark.usefixtures("plain_report")
def test_a_source_that_did_not_answer_is_asked_again(
    finished: Path, home: Path, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([DataError("No answer: wait.", transient=True)])
    read = assets.benchmark_items.study_items

    def read_or_fail(*arguments: Any) -> pl.DataFrame:
        if (error := next(answers, None)) is not None:
            raise error
        return read(*arguments)

    monkeypatch.setattr(assets.benchmark_items, "study_items", read_or_fail)
    assert not bring_up(finished).failures
    assert waits == [0]


@pytest.mark.parametrize(
    "error", [ModelError("It has no such layer: take another."), ZeroDivisionError("a bug")]
)
def test_a_lasting_failure_is_not_retried(
    error: Exception,
    finished: Path,
    home: Path,
    waits: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = failing_load(monkeypatch, error)
    (failure,) = bring_up(finished).failures
    assert len(attempts) == 1
    assert waits == []
    assert str(error) in failure.reason


def test_attempts_come_to_an_end(
    finished: Path, home: Path, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing_load(monkeypatch, ModelError("No answer: wait.", transient=True))
    (failure,) = bring_up(finished).failures
    assert len(attempts) == 1 + MAX_RETRIES
    assert failure.reason == "No answer: wait."


@pytest.mark.usefixtures("plain_report")
def test_a_batch_that_does_not_fit_is_no_failure(
    finished: Path, home: Path, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    run_batch = gradpipe.gradients.loop.run_batch
    tried: list[int] = []

    def one_row_at_most(model: Any, projections: Any, rows: list[Any], pool: Any) -> Any:
        tried.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("no room")
        return run_batch(model, projections, rows, pool)

    monkeypatch.setattr(gradpipe.gradients.loop, "run_batch", one_row_at_most)
    allow_large_batches(monkeypatch)
    runner = bring_up(finished)
    assert not runner.failures
    assert max(tried) > 1
    assert waits == []
    assert len(Workspace.current().spectra("small", "mini_obscure").keys()) == 4


@pytest.mark.usefixtures("plain_report")
def test_a_row_that_did_not_fit_is_computed_again_when_that_is_asked_for(
    finished: Path, home: Path, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    run_batch = gradpipe.gradients.loop.run_batch
    lengths: list[int] = []

    def only_short_ones(model: Any, projections: Any, rows: list[Any], pool: Any) -> Any:
        lengths.extend(len(row.ids) for row in rows)
        if len(rows) > 1 or len(rows[0].ids) == max(lengths):
            raise torch.OutOfMemoryError("no room")
        return run_batch(model, projections, rows, pool)

    with monkeypatch.context() as small:
        small.setattr(gradpipe.gradients.loop, "run_batch", only_short_ones)
        allow_large_batches(small)
        assert not bring_up(finished).failures
    workspace = Workspace.current()
    rows = workspace.spectra("small", "mini_obscure").scan().collect()
    (reason,) = rows["reason"].drop_nulls()
    assert "do not fit in memory, even in a batch of one" in reason
    usable = set(rows.filter(pl.col("reason").is_null())["key"])
    before = workspace.statistics("small", "mini_obscure").read()

    assert bring_up(finished).counts["gradient_spectra"].computed == 0
    words = ["backfill", "--model", "small", "--retry-unusable", "--json"]
    outcome = CliRunner().invoke(main, words)
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["stages"]["gradient_spectra"]["computed"] == 1
    rows = workspace.spectra("small", "mini_obscure").scan().collect()
    assert rows["reason"].is_null().all()
    assert usable < set(rows["key"])
    after = workspace.statistics("small", "mini_obscure").read()
    assert after.height > before.height
