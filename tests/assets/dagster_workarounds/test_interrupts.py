"""A signal that Dagster forgets stops a run all the same."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from assets.dagster_workarounds.interrupts import keep_interrupts
from assets.report import REPORT
from assets.resources import Accelerator
from assets.running.runner import Runner
from assets.spectral_statistics import SPECTRAL_STATISTICS
from assets.stage_run import StageRun
from assets.stages import STAGES
from storage.workspace import Workspace
from tests.conftest import study_of


def ignored(number: signal.Signals) -> None:
    """A block that takes a signal to itself and forgets it, as Dagster does."""
    before = signal.signal(number, lambda *_: None)
    try:
        os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_forgotten_is_raised_at_the_end(number: signal.Signals) -> None:
    ended = []

    def work() -> None:
        with keep_interrupts():
            ignored(number)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert ended
    with keep_interrupts():
        pass


def test_other_signals_and_other_threads_are_left_alone() -> None:
    with keep_interrupts():
        ignored(signal.SIGUSR1)
    found: list[bool] = []

    def work() -> None:
        with keep_interrupts():
            found.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_a_run_that_is_interrupted_as_a_stage_ends_starts_no_other_stage(
    small_model: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, ended = StageRun.result, []

    def result_and_interrupt(self: StageRun, *arguments: Any, **named: Any) -> Any:
        materialization = result(self, *arguments, **named)
        ended.append(self.stage)
        if self.stage is SPECTRAL_STATISTICS:
            ignored(signal.SIGINT)
        return materialization

    monkeypatch.setattr(StageRun, "result", result_and_interrupt)
    runner = Runner(Workspace.current(), study_of(small_model, "mini_obscure"), Accelerator())
    with pytest.raises(KeyboardInterrupt):
        runner.bring_up_to_date()
    assert runner.failures == []
    assert ended == [stage for stage in STAGES if stage is not REPORT]
    assert not Workspace.current().report_page.is_file()
