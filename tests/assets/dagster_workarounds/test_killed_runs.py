"""Runs whose process is gone free what they held; runs that live keep it."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import assets.responses
from assets.dagster_workarounds.killed_runs import process_tag, release_orphans
from assets.running.instance import open_instance
from definitions import defs
from gradpipe.system.atomic_files import process_name
from storage.workspace import Workspace
from tests.assets.conftest import killed_process

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


def tags_of(process: str, run: str = RUN) -> dict[str, str]:
    return dict.fromkeys(process_tag(run), f"{process}/{run}")


def test_a_run_whose_process_is_gone_fails_and_frees_its_slot(instance: dg.DagsterInstance) -> None:
    holding(instance, tags_of(killed_process()))
    release_orphans(instance)
    assert not is_held(instance)
    run = instance.get_run_by_id(RUN)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_lives_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    assert str(os.getpid()) in str(process_tag(RUN))
    holding(instance, process_tag(RUN))
    release_orphans(instance)
    assert is_held(instance)


def test_a_run_of_another_machine_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    gone, _, _ = killed_process().partition("@")
    holding(instance, tags_of(f"{gone}@0123abcd"))
    release_orphans(instance)
    assert is_held(instance)


def test_a_run_that_the_ui_has_just_started_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    holding(instance, {})
    release_orphans(instance)
    assert is_held(instance)


def test_a_number_that_went_to_another_process_holds_nothing(instance: dg.DagsterInstance) -> None:
    number, _, rest = process_name().partition("-")
    start, _, machine = rest.partition("@")
    holding(instance, tags_of(f"{number}-{int(start) - 1000}@{machine}"))
    release_orphans(instance)
    assert not is_held(instance)


def test_a_run_of_an_earlier_gradpipe_that_ended_by_a_kill_holds_nothing(
    instance: dg.DagsterInstance,
) -> None:
    holding(instance, {"gradpipe/process": f"anywhere:{os.getpid()}"})
    release_orphans(instance)
    assert not is_held(instance)


@pytest.mark.parametrize("tag", [None, ".dagster/gradpipe_process", "gradpipe/process"])
def test_a_run_that_is_executed_again_is_not_killed_with_its_parent(
    instance: dg.DagsterInstance, tag: str | None
) -> None:
    parent = RUN.replace("8000", "8001")
    tags = {tag: killed_process()} if tag else tags_of(killed_process(), parent)
    instance.add_run(dg.DagsterRun("job", run_id=parent, tags=tags))
    started = dg.DagsterRunStatus.STARTED
    again = dg.DagsterRun(
        "job", run_id=RUN, tags=tags, status=started, parent_run_id=parent, root_run_id=parent
    )
    instance.add_run(again)
    release_orphans(instance)
    run = instance.get_run_by_id(RUN)
    assert run is not None
    assert run.status == started
    instance.add_run_tags(RUN, tags_of(killed_process()))
    release_orphans(instance)
    run = instance.get_run_by_id(RUN)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_ended_holds_nothing(instance: dg.DagsterInstance) -> None:
    holding(instance, {}, status="FAILURE")
    release_orphans(instance)
    assert not is_held(instance)


def test_a_dead_run_that_waited_for_the_slot_leaves_the_queue(instance: dg.DagsterInstance) -> None:
    holding(instance, process_tag(RUN))
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
        defs.resolve_job_def("benchmark_data").execute_in_process(
            partition_key="mine", instance=instance, raise_on_error=False
        )
    assert set(process_tag(RUN)) <= set(seen[0])
    assert any(value.startswith(f"{process_name()}/") for value in seen[0].values())
