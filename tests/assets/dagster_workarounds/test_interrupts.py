"""A signal that Dagster forgets stops a run all the same."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import assets.spectral_statistics
from assets.dagster_workarounds.interrupts import keep_interrupts
from assets.resources import Accelerator
from assets.running.runner import Runner
from storage.workspace import Workspace
from tests.assets.conftest import finished_study


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


def test_a_run_that_is_told_to_stop_as_its_stage_ends_goes_on_to_no_other(
    finished: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = assets.spectral_statistics.result

    def stop_and_result(*arguments: Any, **settings: Any) -> Any:
        made = result(*arguments, **settings)
        ignored(signal.SIGINT)
        return made

    monkeypatch.setattr(assets.spectral_statistics, "result", stop_and_result)
    runner = Runner(Workspace.current(), finished_study(finished), Accelerator())
    with pytest.raises(KeyboardInterrupt):
        runner.bring_up_to_date()
    assert not Workspace.current().report_page.is_file()
