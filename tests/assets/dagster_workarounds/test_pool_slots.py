"""Two runs never extract the same rows, nor share an accelerator, even where Dagster lets them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import assets.dagster_workarounds.pool_slots
import gradpipe.engines.local
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.runner import Runner
from storage.workspace import Workspace
from tests.assets.conftest import finished_study

QUESTIONS = {"name": "mini_obscure", "sample": 2}
OTHER = "00000000-0000-4000-8000-000000000000"


def runner(folder: Path) -> Runner:
    study = finished_study(folder, benchmarks=[QUESTIONS])
    return Runner(Workspace.current(), study, Accelerator())


@pytest.mark.usefixtures("plain_report")
def test_a_run_whose_slot_was_taken_goes_back_and_computes_later(
    finished: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = assets.dagster_workarounds.pool_slots.holders
    answers = iter([[OTHER]])
    monkeypatch.setattr(
        assets.dagster_workarounds.pool_slots,
        "holders",
        lambda instance, *pool: next(answers, None) or found(instance, *pool),
    )
    loads: list[str] = []
    load = Accelerator.load

    def counted(self: Accelerator, *model: Any) -> Any:
        loads.append("loaded")
        return load(self, *model)

    monkeypatch.setattr(Accelerator, "load", counted)
    here = runner(finished)
    here.bring_up_to_date()
    assert not here.failures
    assert loads == ["loaded"]
    assert here.counts["gradient_spectra"].computed == 4
    with open_instance(Workspace.current()) as instance:
        restarts = [
            event
            for run in instance.get_runs()
            for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_RESTARTED)
        ]
    assert len(restarts) == 1


@pytest.mark.usefixtures("plain_report")
def test_an_extraction_waits_for_another_process_that_is_at_the_same_rows(
    finished: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []
    extract = gradpipe.engines.local.extract_examples

    def noted(*arguments: Any) -> Any:
        begun.append(time.monotonic())
        return extract(*arguments)

    monkeypatch.setattr(gradpipe.engines.local, "extract_examples", noted)
    workspace = Workspace.current()
    with ThreadPoolExecutor(1) as pool:
        with workspace.lock("small", "mini_obscure"):
            done = pool.submit(runner(finished).bring_up_to_date)
            deadline = time.monotonic() + 300
            with open_instance(workspace) as instance:
                while not assets.dagster_workarounds.pool_slots.holders(instance):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            time.sleep(0.5)
            assert begun == []
            released = time.monotonic()
        done.result(300)
    assert len(begun) == 1
    assert begun[0] > released
