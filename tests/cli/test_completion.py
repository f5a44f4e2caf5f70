"""What a shell completes: commands, options, and the names that the workspace knows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from gradpipe.cli import main
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.shipped import shipped_studies
from tests.conftest import ROOT

STUDY = """\
models: [demo, {id: ./x, name: mine}, {id: runs/sft, checkpoints: "checkpoint-*"}]
benchmarks: [mini_maths, {name: own, source: files, path: own.jsonl}]
"""


def offered(*words: str, word: str = "") -> set[str]:
    """The words that are offered after others; files and folders are named by their kind."""
    complete = ShellComplete(main, {}, "gradpipe", "_GRADPIPE_COMPLETE")
    found = complete.get_completions(list(words), word)
    return {item.value if item.type == "plain" else f"<{item.type}>" for item in found}


@pytest.fixture
def study(home: Path) -> Path:
    home.mkdir()
    path = home / "study.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.usefixtures("study")
def test_the_names_are_those_of_the_workspace() -> None:
    assert offered("backfill", "--model") == {"demo", "mine", "sft"}
    assert offered("models", "remove", word="m") == {"mine"}
    assert offered("responses", "export", "--benchmark") == {"mini_maths", "own"}
    assert offered("compare", word="m") == {"<file>", "mine", "mini_maths"}


def test_they_are_those_of_the_option_workspace(study: Path, tmp_path: Path) -> None:
    elsewhere = ("--workspace", str(study.parent.rename(tmp_path / "moved")))
    assert offered("backfill", *elsewhere, "--model") == {"demo", "mine", "sft"}
    # A new workspace is about the demo.
    assert offered("backfill", "--model") == {"demo"}


def test_those_of_a_study_that_the_command_names_come_first(study: Path, tmp_path: Path) -> None:
    given = study.rename(tmp_path / "given.yaml")
    words = ("responses", "export", "--study", str(given), "--benchmark")
    assert offered(*words) == {"mini_maths", "own"}
    assert offered("responses", "export", "--study", "quality", "--benchmark") != set()


@pytest.mark.parametrize("content", ["models: 1\n", "- [", "models: [{}]\n"])
def test_a_study_that_cannot_be_read_offers_nothing(content: str, study: Path) -> None:
    study.write_text(content)
    assert offered("backfill", "--model") == set()


def test_studies_statistics_and_commands_are_offered(home: Path) -> None:
    assert offered("run", "--study") == {"<file>", *shipped_studies()}
    assert offered("compare", "a", "b", "--on") == set(REDUCTIONS)
    assert offered("correlate", "x.csv", "--by", word="nuclear_norm,eff") == {
        "nuclear_norm,effective_rank",
        "nuclear_norm,effective_tokens",
    }
    assert {"status", "run"} <= offered()
    assert "--workspace" in offered("run", word="--")
    assert offered("run", "--workspace") == {"<dir>"}


@pytest.mark.usefixtures("study")
def test_a_name_is_offered_without_slow_imports() -> None:
    code = (
        "import sys; from gradpipe.cli import main; from click.shell_completion import *; "
        "complete = ShellComplete(main, {}, 'gradpipe', '_X'); "
        "assert len(complete.get_completions(['backfill', '--model'], '')) == 3; "
        "assert complete.get_completions(['rank', '--by'], 'nuclear'); "
        "print(*sorted({'polars', 'pydantic', 'torch', 'dagster'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["completion", shell], catch_exceptions=False)
    assert "_GRADPIPE_COMPLETE" in result.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not there to read it")
    script = tmp_path / "script"
    script.write_text(result.stdout)
    subprocess.run([shell, "-n", str(script)], check=True, env={**os.environ})
