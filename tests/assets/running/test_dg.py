"""`dg`, Dagster's command line for projects, in a checkout."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradpipe.studies.load import study_yaml
from storage.workspace import Workspace
from tests.assets.serving import serving
from tests.conftest import ROOT, study_of

DG = [sys.executable, "-c", "from dagster_dg_cli.cli import main; main()"]
STAGES = {"benchmark_items", "responses", "gradient_spectra", "spectral_statistics", "report"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This checkout's code in a folder that may be written to, with a workspace of its own."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("gradpipe", "storage", "definitions.py", "pyproject.toml", "dagster.yaml"):
        (folder / name).symlink_to(ROOT / name)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "assets", folder / "assets", ignore=ignore)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("GRADPIPE_HOME", "GRADPIPE_POSTGRES_URL", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    return folder


def said(*command: str) -> str:
    """What a `dg` command that ends well prints."""
    result = subprocess.run(
        [*DG, *command], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def asset_keys() -> set[str]:
    """The assets that `dg list defs` lists."""
    return {row["asset_key"] for row in json.loads(said("list", "defs", "--json"))["assets"]}


def test_dg_finds_the_project_and_checks_its_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_dg_cli.cli import cli

    monkeypatch.chdir(ROOT / "assets")
    assert CliRunner().invoke(cli, ["check", "yaml"]).exit_code == 0


@pytest.mark.slow
def test_scaffolded_definitions_are_loaded_with_the_stages(checkout: Path) -> None:
    said("scaffold", "defs", "dagster.asset", "more/extra.py")
    file = checkout / "assets" / "defs" / "more" / "extra.py"
    file.write_text("import dagster as dg\n\n@dg.asset\ndef extra() -> None: ...\n")
    said("scaffold", "defs", "gradpipe.Study", "second")
    said("check", "defs")
    assert asset_keys() == {*STAGES, "extra", *(f"second/{stage}" for stage in STAGES)}


@pytest.mark.slow
def test_a_component_with_a_wrong_attribute_is_refused(checkout: Path) -> None:
    folder = checkout / "assets" / "defs" / "wrong"
    folder.mkdir()
    component = {"type": "dagster.PythonScriptComponent", "attributes": {"executable": 1}}
    (folder / "defs.yaml").write_text(json.dumps(component))
    result = subprocess.run(
        [*DG, "check", "yaml"], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 1
    assert "executable" in result.stdout


@pytest.mark.slow
def test_launched_and_served_stages_are_those_of_the_workspace(
    checkout: Path, small_model: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(study_yaml(study_of(small_model, "mini_obscure")))
    run = [sys.executable, "-m", "gradpipe.cli", "run", "--study", str(study)]
    subprocess.run(run, check=True, capture_output=True)
    items = Workspace(checkout / ".gradpipe").items("mini_obscure")
    items.path.unlink()
    said("launch", "--assets", "benchmark_items", "--partition", "mini_obscure")
    assert items.read().height == 2
    with serving([*DG, "dev"], tmp_path / "log") as served:
        nodes = served.ask("{ assetNodes { assetKey { path } partitionKeys } }")["assetNodes"]
    partitions = {node["assetKey"]["path"][-1]: node["partitionKeys"] for node in nodes}
    assert partitions.keys() == STAGES
    assert partitions["gradient_spectra"] == ["mini_obscure|small"]
