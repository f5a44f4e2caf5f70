"""`gradpipe check` and `gradpipe schema`, and the check before a run."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradpipe.cli import main
from gradpipe.studies.schema import study_schema


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def study(tmp_path: Path, home: Path) -> Path:
    """A study without its model and its data."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nmodels: [./model, org/name]\n"
        "benchmarks: [{name: own, source: files, path: own.csv}, mini_maths]\n"
    )
    return file


@pytest.mark.parametrize("words", [("check", "--offline"), ("run",)])
def test_what_is_missing_is_said_at_once_and_before_a_run(
    words: tuple[str, ...], study: Path, home: Path
) -> None:
    refused = gradpipe(*words, "--study", str(study))
    assert refused.exit_code == 2
    assert "model ./model" in refused.stderr
    assert "benchmark own" in refused.stderr
    assert "org/name" not in refused.stderr
    assert not (home / "study.yaml").exists()


@pytest.mark.usefixtures("home")
def test_a_shipped_study_and_that_of_the_workspace_can_be_checked() -> None:
    assert gradpipe("check", "--study", "paper", "--offline").exit_code == 0
    assert "'demo'" in gradpipe("check", "--offline").stdout


def test_a_check_reads_tables(study: Path, small_model: Path, tmp_path: Path) -> None:
    study.write_text(
        f"models: [{small_model}]\n"
        "benchmarks: [{name: own, source: files, path: own.csv}, mini_maths]\n"
    )
    (tmp_path / "own.csv").write_text("question,short\nWhat?,That.\n")
    refused = gradpipe("check", "--study", str(study))
    assert refused.exit_code == 2
    assert "question, short" in refused.stderr
    (tmp_path / "own.csv").write_text("instruction,none\nWhat?,That.\n")
    assert gradpipe("check", "--study", str(study)).exit_code == 0


def test_a_series_without_checkpoints_is_named(study: Path, home: Path) -> None:
    study.write_text(
        "models: [{id: ./runs/sft, checkpoints: 'checkpoint-*'}, {id: org/x, revisions: 's*'}]\n"
        "benchmarks: [mini_maths]\n"
    )
    result = gradpipe("check", "--offline", "--study", str(study))
    assert result.exit_code == 0
    assert result.stderr.startswith("No checkpoint of the series 'sft' matches 'checkpoint-*'")
    assert "org/x" not in result.stderr
    assert "nothing else is wrong" in result.stdout
    assert not home.exists()


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(gradpipe("schema").stdout) == json.loads(json.dumps(study_schema()))
