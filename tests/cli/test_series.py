"""Series as a user types them: `gradpipe models`, `backfill` and `compare`."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from gradpipe.cli import main
from storage.workspace import Workspace


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def runs(home: Path, tmp_path: Path, small_model: Path, no_images: None) -> Path:
    """A training's folder with two checkpoints, and a study of one benchmark without a model."""
    folder = tmp_path / "runs" / "sft"
    for step in (10, 20):
        checkpoint = folder / f"checkpoint-{step}"
        shutil.copytree(small_model, checkpoint)
        weights = load_file(checkpoint / "model.safetensors")
        scaled = {name: weight * (1 + step / 100) for name, weight in weights.items()}
        save_file(scaled, checkpoint / "model.safetensors", {"format": "pt"})
        (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    study = tmp_path / "study.yaml"
    study.write_text("models: []\nbenchmarks: [mini_obscure]\nsample: 3\nsampling: first\n")
    gradpipe("run", "--study", str(study))
    from gradpipe.studies.load import load_study

    Workspace.current().keep_study(load_study(str(study)))
    return folder


@pytest.mark.usefixtures("plain_report")
def test_a_series_is_added_listed_computed_compared_and_removed(runs: Path) -> None:
    added = gradpipe("models", "add", str(runs), "--checkpoints", "checkpoint-*")
    assert added.stdout.startswith("Added sft with 2 steps;")
    listed = gradpipe("models", "list").stdout
    assert listed == f"sft  ({runs}, 2 steps: 10, 20)\n"

    outcome = gradpipe("backfill", "--model", "sft", "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout.splitlines()[-1])["stages"]["report"]["computed"] == 1
    compared = gradpipe("compare", "sft@10", "sft@20", "--json")
    assert compared.exit_code == 0
    assert "sft@10" in compared.stdout

    shutil.rmtree(runs / "checkpoint-10")
    assert "of 1 only the rows are left" in gradpipe("models", "list").stdout
    assert gradpipe("compare", "sft@10", "sft@20").exit_code == 0
    for words, reason in (
        (("sft@20",), "is a step of the series 'sft'"),
        (("sft@2",), "did you mean 'sft@20'"),
    ):
        refused = gradpipe("models", "remove", *words)
        assert refused.exit_code == 2
        assert reason in refused.stderr
    gone = gradpipe("models", "remove", "sft@10", "--rows")
    assert "so is the step" in gone.stdout
    assert "1 step: 20" in gradpipe("models", "list").stdout
    again = gradpipe("models", "remove", "sft@20", "--rows")
    assert "computes them again" in again.stdout
    assert gradpipe("models", "remove", "sft", "--rows").exit_code == 0
    assert gradpipe("models", "list").stdout == ""


def test_a_pattern_that_matches_nothing_waits_and_says_so(runs: Path) -> None:
    added = gradpipe("models", "add", str(runs), "--checkpoints", "step-*", "--every", "5")
    assert added.exit_code == 0
    assert added.stdout.startswith("Added sft with no steps;")
    assert "matches 'step-*'" in added.stderr
    assert "no steps" in gradpipe("models", "list").stdout
    refused = gradpipe("backfill", "--model", "sft")
    assert refused.exit_code == 2
    assert "has no step yet" in refused.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("org/name", "--every", "5"), "--every is of a series"),
        (("org/name", "--revisions", "*", "--revision", "main"), "--revision is of one model"),
        (("./a", "--checkpoints", "*", "--revisions", "*"), "either `checkpoints` or `revisions`"),
        (("./a", "--checkpoints", "*", "--first", "9", "--last", "1"), "exchange `first`"),
        (("./a", "--checkpoints", "*", "--every", "-1"), "every"),
    ],
)
def test_a_mistake_in_a_series_is_refused_in_a_sentence(
    words: tuple[str, ...], reason: str, home: Path
) -> None:
    refused = gradpipe("models", "add", *words)
    assert refused.exit_code == 2
    [line] = refused.stderr.strip().splitlines()
    assert reason in line
