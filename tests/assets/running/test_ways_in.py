"""Dagster's own commands in the repository's root, and the UI that `gradpipe ui` starts."""

import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.running.instance import open_instance
from gradpipe.cli import main
from gradpipe.studies.load import study_yaml
from storage.workspace import Workspace
from tests.assets.serving import serving
from tests.conftest import study_of, without_images

ROOT = Path(__file__).resolve().parents[3]
DAGSTER = [sys.executable, "-m", "dagster"]


@pytest.fixture(scope="module")
def clone(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the root's settings, where `gradpipe run` was run."""
    folder = tmp_path_factory.mktemp("ways_in") / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder)
    study = folder.parent / "study.yaml"
    of_one = study_of(small_model, "mini_obscure", statistics=["nuclear_norm"])
    study.write_text(study_yaml(of_one))
    with pytest.MonkeyPatch.context() as monkeypatch, without_images():
        enter(folder, monkeypatch)
        result = CliRunner().invoke(main, ["run", "--study", str(study)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def done(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone after `gradpipe run`, entered."""
    enter(clone, monkeypatch)
    return clone


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder, where nothing names another workspace."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("GRADPIPE_HOME", "GRADPIPE_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)


def said(command: list[str]) -> str:
    """What a command that ends well prints."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"
PARTITIONS = """{ assetNodeOrError(assetKey: {path: ["gradient_spectra"]}) {
    ... on AssetNode { partitionKeys } } }"""


def runs_of(workspace: Workspace) -> set[str]:
    with open_instance(workspace) as instance:
        return {run.run_id for run in instance.get_runs()}


def test_materializing_by_dagsters_command_uses_the_instance_and_rows_of_the_workspace(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runs_of(Workspace.current())
    assert before
    monkeypatch.setenv("DAGSTER_HOME", "")
    target = ["-m", "definitions", "--select", "gradient_spectra"]
    said([*DAGSTER, "asset", "materialize", *target, "--partition", "mini_obscure|small"])

    with open_instance(Workspace.current()) as instance:
        (new,) = (run for run in instance.get_runs() if run.run_id not in before)
        event = instance.get_latest_materialization_event(dg.AssetKey("gradient_spectra"))
        logs = list((Workspace.current().dagster_home / "storage" / new.run_id).rglob("*.err"))
    assert new.status == dg.DagsterRunStatus.SUCCESS
    assert event is not None
    assert event.run_id == new.run_id
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert (metadata["computed"].value, metadata["reused"].value) == (0, 4)
    assert logs
    assert sorted(path.name for path in done.iterdir()) == [".gradpipe", "dagster.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [[*DAGSTER, "dev", "-m", "definitions"], [sys.executable, "-m", "gradpipe.cli", "ui"]],
    ids=["dagster dev", "gradpipe ui"],
)
def test_the_ui_shows_the_runs_and_partitions_of_the_workspace(
    command: list[str], done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, log = runs_of(Workspace.current()), tmp_path / "log"
    monkeypatch.setenv("DAGSTER_HOME", "")
    with serving(command, log) as served:
        assert {run["runId"] for run in served.ask(RUNS)["runsOrError"]["results"]} == runs
        assert served.ask(PARTITIONS)["assetNodeOrError"]["partitionKeys"] == ["mini_obscure|small"]
    assert "Found a dagster instance configuration" not in log.read_text()
    assert "Traceback" not in log.read_text()
    if "ui" in command:
        assert "Warning" not in log.read_text()
    assert sorted(path.name for path in done.iterdir()) == [".gradpipe", "dagster.yaml"]
