"""The settings of the workspace's Dagster instance, and those of the repository's root."""

import os
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.running.instance import POSTGRES, dagster_home, open_instance
from gradpipe.errors import WorkspaceError
from storage.workspace import Workspace
from tests.faults.runs import fork_server

ROOT = Path(__file__).resolve().parents[3]
URL = "postgresql://gradpipe:secret@127.0.0.1:5432/runs"
IN_POSTGRES = {"postgres": {"postgres_url": {"env": POSTGRES}}}


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(POSTGRES, raising=False)


@pytest.fixture
def settings(home: Path) -> Path:
    """The settings' file, as gradpipe writes it."""
    return dagster_home(Workspace.current()) / "dagster.yaml"


def read(settings: Path) -> dict[str, Any]:
    content = yaml.safe_load(settings.read_text())
    assert isinstance(content, dict)
    return content


def test_the_settings_are_what_dagster_runs_with(settings: Path) -> None:
    with open_instance(Workspace.current()) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.global_op_concurrency_default_limit == 1


def test_dagsters_own_commands_in_the_root_use_the_same_settings(settings: Path) -> None:
    root = read(ROOT / "dagster.yaml")
    places = {name: root.pop(name) for name in ("storage", "local_artifact_storage")}
    logs = root.pop("compute_logs")
    assert root == read(settings)
    assert places["storage"] == {"sqlite": {"base_dir": ".gradpipe/dagster"}}
    assert places["local_artifact_storage"]["config"] == {"base_dir": ".gradpipe/dagster"}
    assert logs["config"] == {"base_dir": ".gradpipe/dagster/storage"}


def test_the_root_names_the_very_places_of_the_default_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADPIPE_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")
    with open_instance(Workspace.current()) as instance:
        ours = instance.get_ref()
    theirs = dg.DagsterInstance.from_config(str(ROOT)).get_ref()
    for part in ("storage_data", "local_artifact_storage_data", "compute_logs_data"):
        place, other = getattr(ours, part), getattr(theirs, part)
        assert (place.module_name, place.class_name) == (other.module_name, other.class_name)
        base, other_base = (Path(data.config_dict["base_dir"]) for data in (place, other))
        assert other_base.resolve() == base


def test_the_database_is_switched_on_and_off_in_settings_that_nobody_changed(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = settings.read_text()
    monkeypatch.setenv(POSTGRES, URL)
    dagster_home(Workspace.current())
    assert read(settings) == yaml.safe_load(without) | {"storage": IN_POSTGRES}
    assert "secret" not in settings.read_text()
    monkeypatch.setenv(POSTGRES, "")
    dagster_home(Workspace.current())
    assert settings.read_text() == without
    assert [path.name for path in settings.parent.iterdir()] == ["dagster.yaml"]


@pytest.mark.parametrize("text", ["", "run_retries: {enabled: true}\n", "# mine\n"])
def test_changed_settings_that_agree_are_left_alone(settings: Path, text: str) -> None:
    settings.write_text(text)
    dagster_home(Workspace.current())
    assert settings.read_text() == text


def test_changed_settings_may_use_the_database(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES, URL)
    text = yaml.safe_dump({"storage": IN_POSTGRES, "run_retries": {"enabled": True}})
    settings.write_text(text)
    dagster_home(Workspace.current())
    assert settings.read_text() == text


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"storage": {"sqlite": {"base_dir": "elsewhere"}}},
        {"storage": {"postgres": {"postgres_url": "postgresql://other"}}},
        {"storage": {"postgres": {"postgres_url": {"env": "OTHER"}}}},
    ],
)
def test_changed_settings_without_the_database_contradict_its_variable(
    settings: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = yaml.safe_dump(content | {"run_retries": {"enabled": True}})
    settings.write_text(text)
    monkeypatch.setenv(POSTGRES, URL)
    with pytest.raises(WorkspaceError, match=f"or unset {POSTGRES}.$") as caught:
        dagster_home(Workspace.current())
    assert str(settings) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert settings.read_text() == text


def test_changed_settings_with_the_database_want_its_variable(settings: Path) -> None:
    settings.write_text(yaml.safe_dump({"storage": IN_POSTGRES}))
    with pytest.raises(WorkspaceError, match="not set: set it, or remove `storage`"):
        dagster_home(Workspace.current())


def test_settings_that_are_no_yaml_are_named(settings: Path) -> None:
    settings.write_text("telemetry: [")
    with pytest.raises(WorkspaceError, match=r"dagster\.yaml is not valid YAML"):
        dagster_home(Workspace.current())


def open_together(home: Path, ready: Barrier) -> None:
    """What a process does that is forked from one which knows nothing of the test's environment."""
    os.environ.update({"GRADPIPE_HOME": str(home), "DAGSTER_HOME": ""})
    ready.wait()
    open_instance(Workspace.current()).dispose()


def test_two_commands_that_open_a_new_workspace_at_once_both_can(home: Path) -> None:
    context = fork_server()
    ready = context.Barrier(2)
    both = [context.Process(target=open_together, args=(home, ready)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    assert [process.exitcode for process in both] == [0, 0]
