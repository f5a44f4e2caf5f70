"""Runs whose process is gone free what they held; runs that live keep it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import assets.responses
from assets.accelerator import Accelerator
from assets.instance import open_instance
from assets.location import code_location
from assets.orphans import process_tag, release_orphans
from storage.workspace import Workspace

RUN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(Workspace.current()) as instance:
        yield instance


def holding(instance: dg.DagsterInstance, tags: dict[str, str], status: str = "STARTED") -> None:
    """A run of that status that holds the one slot of the pool."""
    instance.add_run(
        dg.DagsterRun("job", run_id=RUN, tags=tags, status=dg.DagsterRunStatus(status))
    )
    pools = instance.event_log_storage
    pools.initialize_concurrency_limit_to_default("gpu")
    assert pools.claim_concurrency_slot("gpu", RUN, "step").is_claimed


def is_held(instance: dg.DagsterInstance) -> bool:
    return bool(instance.event_log_storage.get_concurrency_info("gpu").claimed_slots)


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_run_whose_process_is_gone_fails_and_frees_its_slot(instance: dg.DagsterInstance) -> None:
    gone = {key: f"{socket.gethostname()}:{dead_process()}" for key in process_tag()}
    holding(instance, gone)
    release_orphans(instance)
    assert not is_held(instance)
    run = instance.get_run_by_id(RUN)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_lives_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    assert str(os.getpid()) in str(process_tag())
    holding(instance, process_tag())
    release_orphans(instance)
    assert is_held(instance)


def test_a_run_of_another_machine_or_of_the_ui_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    holding(instance, dict.fromkeys(process_tag(), f"elsewhere:{dead_process()}"))
    release_orphans(instance)
    assert is_held(instance)


def test_a_run_that_ended_holds_nothing(instance: dg.DagsterInstance) -> None:
    holding(instance, {}, status="FAILURE")
    release_orphans(instance)
    assert not is_held(instance)


def test_a_dead_run_that_waited_for_the_slot_leaves_the_queue(instance: dg.DagsterInstance) -> None:
    holding(instance, process_tag())
    dead, next_one = RUN.replace("8000", "8001"), RUN.replace("8000", "8002")
    instance.add_run(dg.DagsterRun("job", run_id=dead, status=dg.DagsterRunStatus.FAILURE))
    pools = instance.event_log_storage
    assert not pools.claim_concurrency_slot("gpu", dead, "step").is_claimed
    release_orphans(instance)
    pools.free_concurrency_slots_for_run(RUN)
    assert pools.claim_concurrency_slot("gpu", next_one, "step").is_claimed


def test_a_run_that_the_ui_started_is_known_by_its_process_while_it_is_at_work(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    def look(*_: object) -> None:
        with open_instance(Workspace.current()) as instance:
            (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            seen.append(dict(run.tags))

    monkeypatch.setattr(assets.responses, "check_lengths", look)
    with open_instance(Workspace.current()) as instance:
        code_location(Accelerator()).resolve_job_def("benchmark_data").execute_in_process(
            partition_key="mine", instance=instance, raise_on_error=False
        )
    assert process_tag().items() <= seen[0].items()
