"""A command whose optional package is missing names the extra that brings it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradpipe.cli import main
from gradpipe.cli.extras import OPTIONAL_PACKAGES

ROOT = Path(__file__).resolve().parents[2]


def test_run_without_dagster_names_its_extra(home: Path) -> None:
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dagster':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from gradpipe.cli import main\n"
        "main(['run'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == "gradpipe run needs Dagster: pip install 'gradpipe[pipeline]'.\n"


@pytest.mark.parametrize("name", ["torch", "gradpipe.nothing", None])
def test_any_other_missing_module_stays_a_bug(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(main.commands["status"], "callback", fail)
    result = CliRunner().invoke(main, ["status"])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_every_named_extra_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    assert {extra for _, extra in OPTIONAL_PACKAGES.values()} <= set(extras)


def test_version_names_the_program() -> None:
    result = CliRunner().invoke(main, ["--version"], prog_name="gradpipe")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("gradpipe, version ")
