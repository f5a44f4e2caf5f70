"""A study with checkpoints that are cut short, without a tokenizer, and of equal weights."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from tokenizers import AddedToken

from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.runner import Runner
from gradpipe.errors import WorkspaceError
from gradpipe.models.load import load_tokenizer
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.conftest import save_small_model, study_of, without_images, workspace_of

CHECKED = dg.DagsterEventType.ASSET_CHECK_EVALUATION


@dataclass
class Outcome:
    """What a run left: the runner, its notes, the workspace, and the failed checks."""

    runner: Runner
    notes: list[str]
    workspace: Workspace
    failed_checks: set[tuple[str, str]] = field(default_factory=set)

    def rows(self, model: str) -> pl.DataFrame:
        return self.workspace.spectra_index(model, "mine").read()


def models(folder: Path) -> list[dict[str, str]]:
    """Checkpoints of one run: whole, saved twice, cut short, and with tokens of their own."""
    save_small_model(folder / "first")
    shutil.copytree(folder / "first", folder / "again")
    for name, seed in (("bare", 1), ("cut", 2), ("longer", 3)):
        save_small_model(folder / name, seed)
    for file in (folder / "bare").glob("tokenizer*"):
        file.unlink()
    weights = folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    tokenizer = load_tokenizer(str(folder / "longer"))
    tokenizer.add_tokens([AddedToken("<think>")])
    tokenizer.save_pretrained(folder / "longer")
    names = ("cut", "first", "again", "longer")
    bare = {"id": str(folder / "bare"), "name": "bare", "base": "first"}
    return [*({"id": str(folder / name), "name": name} for name in names), bare]


def study(folder: Path) -> Study:
    data = folder / "mine.jsonl"
    data.write_text(
        "".join(
            json.dumps({"instruction": f"Say {text}.", "none": text}) + "\n"
            for text in ("yes", "<think>no")
        )
    )
    mine = {"name": "mine", "source": "files", "path": str(data)}
    return study_of(
        folder,
        models=models(folder),
        benchmarks=[mine],
        relevances=["correct"],
        unusable_limit=0.5,
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("untrusted")
    with workspace_of(folder), without_images():
        workspace, notes = Workspace.current(), list[str]()
        runner = Runner(workspace, study(folder), Accelerator(), on_note=notes.append)
        runner.bring_up_to_date()
        result = Outcome(runner, notes, workspace)
        with open_instance(workspace) as instance:
            events = [
                event.get_dagster_event().asset_check_evaluation_data
                for run in instance.get_runs()
                for event in instance.all_logs(run.run_id, of_type=CHECKED)
            ]
        result.failed_checks = {
            (check.check_name, str(check.partition)) for check in events if not check.passed
        }
        yield result


def test_a_checkpoint_that_is_cut_short_does_not_stop_the_others(outcome: Outcome) -> None:
    (failure,) = outcome.runner.failures
    assert {"gradient_spectra", "cut"} <= set(str(failure).split())
    assert re.search(r"model\.safetensors: it has \d+ of \d+ bytes", failure.reason)
    assert str(failure) in outcome.notes
    assert outcome.runner.account()["failed"] == [str(failure)]
    for name in ("first", "again", "longer", "bare"):
        assert outcome.rows(name).height == 2, name
    with pytest.raises(WorkspaceError):
        outcome.rows("cut")


def test_models_of_equal_weights_are_named_once_in_the_run(outcome: Outcome) -> None:
    named = [note for note in outcome.notes if "the same weights" in note]
    assert len(named) == 1
    assert named[0].startswith("first and again have the same weights")


def test_models_of_equal_weights_fail_a_check_of_their_own(outcome: Outcome) -> None:
    failed = {(name, partition) for name, partition in outcome.failed_checks if "weight" in name}
    assert failed == {("distinct_weights", f"mine|{name}") for name in ("first", "again")}


def test_models_of_equal_weights_are_named_on_the_page(outcome: Outcome) -> None:
    page = outcome.workspace.report_page.read_text()
    assert "first and again have the same weights" in page
    assert "same weights as" in page


def test_a_checkpoint_without_a_tokenizer_takes_that_of_its_base_and_the_page_says_so(
    outcome: Outcome,
) -> None:
    assert outcome.rows("bare")["reason"].to_list() == [None, None]
    assert outcome.rows("bare")["tokens"].equals(outcome.rows("first")["tokens"])
    assert not set(outcome.rows("bare")["key"]) & set(outcome.rows("first")["key"])
    assert re.search(
        r"bare uses the tokenizer of \S+/first, since it comes without a tokenizer",
        outcome.workspace.report_page.read_text(),
    )


def test_a_row_with_a_token_beyond_the_embeddings_is_unusable_and_the_other_is_not(
    outcome: Outcome,
) -> None:
    usable, unusable = outcome.rows("longer")["reason"].to_list()
    assert usable is None
    assert unusable.startswith("the token id 256 is beyond the model's 256 embeddings")
