"""An installed wheel disturbs nobody's modules, and everything works from an empty folder."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import polars as pl
import pytest

from tests.assets.foreign_project import keys_of_project
from tests.assets.serving import serving
from tests.conftest import ROOT


class Installed:
    """An environment with gradpipe's wheel, and an empty folder to work in."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.bin = environment / "bin"
        self.folder = folder
        self.variables = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(folder),
            "GRADPIPE_HOME": str(folder / "workspace"),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment, in the empty folder; it must succeed."""
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(
    wheel: Path, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """A fresh environment with the wheel; everything else is borrowed from the tests' own."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    # A .pth file inside a borrowed folder is not read, so no editable gradpipe comes with it.
    (packages,) = environment.glob("lib/python*/site-packages")
    borrowed = sysconfig.get_paths()["purelib"]
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    folder = tmp_path_factory.mktemp("empty")
    (folder / "model").symlink_to(small_model)
    return Installed(environment, folder)


def test_site_packages_get_one_package_and_no_common_names(installed: Installed) -> None:
    (packages,) = installed.bin.parent.glob("lib/python*/site-packages")
    names = {path.name.partition("-")[0] for path in packages.iterdir()}
    assert names == {"gradpipe", "borrowed.pth"}
    for name in ("assets", "storage", "definitions"):
        done = subprocess.run(
            [installed.bin / "python", "-c", f"import {name}"],
            cwd=installed.folder,
            env=installed.variables,
            capture_output=True,
            check=False,
        )
        assert b"ModuleNotFoundError" in done.stderr, name


def test_the_installed_version_is_the_projects(installed: Installed, wheel: Path) -> None:
    version = installed.run("gradpipe", "--version").stdout.split()[-1]
    assert wheel.name.startswith(f"gradpipe-{version}-")


def test_the_wheel_extracts_a_file(installed: Installed) -> None:
    (installed.folder / "pairs.jsonl").write_text(
        json.dumps({"instruction": "What is 6 × 7?", "output": "42"}) + "\n"
    )
    installed.run("gradpipe", "extract", "pairs.jsonl", "--model", "model", "--out", "out.parquet")
    table = pl.read_parquet(installed.folder / "out.parquet")
    assert table.height == 3 * 4
    assert set(table["projection"]) == {"q", "k", "v", "o"}


def test_the_wheel_joins_a_project_with_modules_of_the_same_names(
    installed: Installed, tmp_path: Path
) -> None:
    variables = {"PATH": "", "HOME": installed.variables["HOME"]}
    keys = keys_of_project(tmp_path, str(installed.bin / "python"), variables)
    assert {"one/report", "two/report", "theirs"} <= set(keys)


@pytest.mark.slow
def test_the_wheel_runs_a_study(installed: Installed) -> None:
    study = {
        "name": "tiny",
        "models": [{"id": str(installed.folder / "model"), "name": "tiny"}],
        "benchmarks": ["mini_obscure"],
        "sample": 2,
        "relevances": ["correct"],
        "statistics": ["nuclear_norm"],
    }
    (installed.folder / "tiny.yaml").write_text(json.dumps(study))
    done = installed.run("gradpipe", "run", "--study", "tiny.yaml", "--json")
    account = json.loads(done.stdout.splitlines()[-1])
    assert account["stages"]["gradient_spectra"]["computed"] == 2
    assert Path(account["report"]).is_file()


@pytest.mark.slow
def test_the_wheel_serves_the_ui(installed: Installed, tmp_path: Path) -> None:
    command = [str(installed.bin / "gradpipe"), "ui"]
    with serving(command, tmp_path / "ui.log", cwd=installed.folder, env=installed.variables) as ui:
        nodes = ui.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
    names = {node["assetKey"]["path"][-1] for node in nodes}
    assert {"benchmark_items", "gradient_spectra", "report"} <= names
