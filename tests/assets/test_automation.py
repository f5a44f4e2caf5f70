"""Automation: the sensor and the nightly schedule, tick by tick."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import assets.automation
import assets.gradient_spectra
from assets.automation import nightly
from assets.partitions import partition_key
from assets.resources import Accelerator, WorkspaceResource
from assets.running.instance import open_instance
from assets.stages import STAGES
from definitions import defs
from gradpipe.errors import DataError
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.study_models import add_model, remove_model
from storage.workspace import Workspace
from tests.assets.conftest import (
    ASSETS,
    Daemon,
    Materialized,
    NoAccelerator,
    finished_study,
    heavier,
    resources,
)

QUESTIONS = {"name": "mini_obscure", "sample": 2}
OTHER_CELL = Partition(model="other", benchmark="mini_obscure")


@pytest.fixture
def daemon(done: Path) -> Iterator[Daemon]:
    with open_instance(Workspace.current()) as instance:
        yield Daemon(instance)


def keep(folder: Path, automation: bool | str, **changes: Any) -> None:
    """Make this the workspace's study: one benchmark, so that a tick is quick."""
    settings = {"automation": automation, "benchmarks": [QUESTIONS]} | changes
    Workspace.current().keep_study(finished_study(folder, **settings))


def add_other_model(folder: Path) -> None:
    heavier(folder / "model", folder / "other")
    add_model(Workspace.current(), str(folder / "other"), name="other")


def models_of(daemon: Daemon) -> list[str]:
    return sorted(daemon.instance.get_dynamic_partitions("models"))


def failing(model: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Extraction fails for that model; the list gets a word for each attempt."""
    attempts: list[str] = []
    load = Accelerator.load

    def load_or_fail(self: Accelerator, source: Any, name: str, *rest: Any) -> Any:
        if name.endswith(model):
            attempts.append(name)
            raise DataError("The cable is cut: replace it.")
        return load(self, source, name, *rest)

    monkeypatch.setattr(Accelerator, "load", load_or_fail)
    return attempts


def ask_to_fill(daemon: Daemon) -> None:
    outcome = defs.resolve_job_def("fill").execute_in_process(instance=daemon.instance)
    assert outcome.success


def test_with_automation_off_partitions_follow_the_study_and_nothing_is_computed(
    daemon: Daemon, done: Path
) -> None:
    keep(done, automation=False)
    add_other_model(done)
    daemon.until_quiet()
    assert models_of(daemon) == ["other", "small"]
    assert daemon.results == []
    remove_model(Workspace.current(), "other")
    daemon.until_quiet()
    assert models_of(daemon) == ["small"]


def test_an_edited_study_file_makes_its_partitions(daemon: Daemon, done: Path) -> None:
    keep(done, automation=False)
    heavier(done / "model", done / "other")
    path = Workspace.current().study_path
    edited = path.read_text().replace(
        "models:\n", f"models:\n- {{id: {done}/other, name: typed}}\n"
    )
    path.write_text(edited)
    daemon.until_quiet()
    assert models_of(daemon) == ["small", "typed"]


@pytest.mark.usefixtures("plain_report")
def test_with_automation_on_a_new_model_gets_its_column_and_then_the_report_once(
    daemon: Daemon, done: Path
) -> None:
    keep(done, automation=True)
    daemon.until_quiet()
    add_other_model(done)
    since = Materialized()
    daemon.until_quiet()
    assert since.computed() == {
        ("gradient_spectra", "mini_obscure|other"): 4,
        ("spectral_statistics", "mini_obscure|other"): 1,
        ("report", ""): 1,
    }


@pytest.mark.usefixtures("plain_report")
def test_a_removed_model_leaves_the_report_and_comes_back_at_no_cost(
    daemon: Daemon, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(done, automation=True)
    add_other_model(done)
    daemon.until_quiet()
    remove_model(Workspace.current(), "other")
    daemon.until_quiet()
    page = Workspace.current().report_page
    assert '"other"' not in page.read_text()
    monkeypatch.setattr(Accelerator, "load", NoAccelerator.load)
    add_model(Workspace.current(), str(done / "other"), name="other")
    daemon.until_quiet()
    assert '"other"' in page.read_text()


@pytest.mark.usefixtures("plain_report")
def test_rematerializing_the_same_data_requests_nothing(daemon: Daemon, done: Path) -> None:
    keep(done, automation=True)
    daemon.until_quiet()
    daemon.results.clear()
    dg.materialize(
        ASSETS,
        selection=["responses"],
        partition_key="mini_obscure",
        instance=daemon.instance,
        resources=resources(),
    )
    daemon.until_quiet()
    assert daemon.results == []


@pytest.mark.usefixtures("plain_report")
def test_a_setting_that_changes_and_changes_back_is_followed_both_ways(
    daemon: Daemon, done: Path
) -> None:
    names = {"nuclear_norm", "spectral_norm"}
    for statistic in ("nuclear_norm", "spectral_norm") * 2:
        keep(done, automation=True, statistics=[statistic])
        daemon.until_quiet()
        table = Workspace.current().statistics("small", "mini_obscure").read()
        assert names & set(table.columns) == {statistic}


@pytest.mark.usefixtures("plain_report")
def test_a_failure_is_tried_once_stops_nobody_else_and_is_tried_again_at_night(
    daemon: Daemon, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(done, automation=True)
    add_other_model(done)
    heavier(done / "other", done / "third")
    add_model(Workspace.current(), str(done / "third"), name="third")
    attempts = failing("other", monkeypatch)
    daemon.until_quiet()
    daemon.until_quiet()
    assert len(attempts) == 1
    page = Workspace.current().report_page.read_text()
    assert '"third"' in page
    assert '"other"' not in page

    ask_to_fill(daemon)
    daemon.until_quiet()
    assert len(attempts) == 2


@pytest.mark.usefixtures("plain_report")
def test_a_model_that_is_gone_does_not_stop_the_others(daemon: Daemon, done: Path) -> None:
    keep(done, automation=True)
    add_other_model(done)
    study = Workspace.current().study()
    models = [{"id": str(done / "gone"), "name": "gone"}, *study.model_dump()["models"]]
    Workspace.current().keep_study(Study.model_validate(study.model_dump() | {"models": models}))
    daemon.until_quiet()
    assert Workspace.current().statistics("other", "mini_obscure").notes()
    assert '"other"' in Workspace.current().report_page.read_text()


@pytest.mark.parametrize(
    ("job", "stages"), [("model_gradients", None), ("__ASSET_JOB", ["gradient_spectra"])]
)
def test_what_is_being_computed_is_not_asked_for_again(
    job: str, stages: list[str] | None, daemon: Daemon, done: Path
) -> None:
    keep(done, automation=True)
    add_other_model(done)
    daemon.tick()
    by_hand = dg.DagsterRun(
        job,
        run_id="00000000-0000-4000-8000-000000000000",
        tags={"dagster/partition": str(partition_key(OTHER_CELL))},
        asset_selection=stages and frozenset(map(dg.AssetKey, stages)),
        status=dg.DagsterRunStatus.STARTED,
    )
    daemon.instance.add_run(by_hand)
    answer = daemon.tick()
    assert not answer.run_requests
    daemon.instance.report_run_failed(by_hand)
    assert daemon.tick().run_requests


@pytest.mark.usefixtures("plain_report")
def test_the_queue_stays_short(daemon: Daemon, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.automation, "MAX_QUEUED_RUNS", 1)
    keep(done, automation=True)
    add_other_model(done)
    heavier(done / "other", done / "third")
    add_model(Workspace.current(), str(done / "third"), name="third")
    daemon.tick()
    assert len(daemon.tick().run_requests or ()) == 1
    daemon.until_quiet()
    assert Workspace.current().statistics("third", "mini_obscure").notes()


@pytest.mark.usefixtures("plain_report")
def test_nothing_is_planned_while_nothing_happens(
    daemon: Daemon, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(done, automation=True)
    monkeypatch.setattr(assets.automation, "RECHECK_INTERVAL", 1e12)
    daemon.until_quiet()
    monkeypatch.setattr(assets.automation, "Plan", None)
    daemon.until_quiet()
    monkeypatch.undo()
    assert json.loads(str(daemon.cursor))["quiet"]


def at_night(daemon: Daemon) -> Any:
    context = dg.build_schedule_context(daemon.instance, datetime(2026, 1, 1, 3, tzinfo=UTC))
    return nightly(context, workspace=WorkspaceResource())


def test_the_nightly_schedule_asks_for_a_fill_where_the_study_allows_it(
    daemon: Daemon, done: Path
) -> None:
    keep(done, automation=False)
    assert isinstance(at_night(daemon), dg.SkipReason)
    for setting in (True, "nightly"):
        keep(done, automation=setting)
        assert isinstance(at_night(daemon), dg.RunRequest)


def test_a_fill_is_followed_through_to_the_report_and_then_closed(
    daemon: Daemon, done: Path
) -> None:
    keep(done, automation="nightly", benchmarks=[QUESTIONS | {"sample": 3}])
    daemon.until_quiet()
    assert daemon.results == []
    ask_to_fill(daemon)
    since = Materialized()
    daemon.until_quiet()
    assert {stage for stage, _ in since.computed()} == {stage.name for stage in STAGES}

    daemon.results.clear()
    keep(done, automation="nightly")
    daemon.until_quiet()
    assert daemon.results == []
