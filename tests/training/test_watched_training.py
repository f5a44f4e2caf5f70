"""A real fine-tuning whose checkpoints `gradpipe ui` notices, computes and shows by itself."""

import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.running.instance import open_instance
from gradpipe.studies.load import load_study
from storage.workspace import Workspace
from tests.assets.serving import serving
from tests.conftest import ROOT
from tests.training.fine_tuning import GSM8K, start_fine_tuning

#: The base at step 0, and a checkpoint every 10 of 60 steps.
STEPS = [0, 10, 20, 30, 40, 50, 60]
MOST_SECONDS = 2400.0

STUDY = """
name: a training run
models:
  - {{id: {folder}, checkpoints: "checkpoint-*", name: sft, base: demo}}
benchmarks: [mini_maths]
styles: [none, detailed]
sample: 4
automation: on
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["lora", "full"])
def test_a_training_run_is_followed_without_a_hand(
    way: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, study, home = tmp_path / "runs" / "sft", tmp_path / "study.yaml", tmp_path / "home"
    study.write_text(STUDY.format(folder=folder))
    for name, value in {
        "GRADPIPE_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": "",
        "OMP_WAIT_POLICY": "PASSIVE",
    }.items():
        monkeypatch.setenv(name, value)
    gradpipe = [sys.executable, "-m", "gradpipe.cli"]
    workspace = Workspace.current()
    workspace.keep_study(load_study(str(study)))
    with serving([*gradpipe, "ui"], tmp_path / "log"):
        training = start_fine_tuning(way, shared / GSM8K, folder)
        try:
            printed, _ = training.communicate(timeout=MOST_SECONDS)
            assert training.returncode == 0, printed
            wait_for_steps(workspace, tmp_path / "log")
        finally:
            training.kill()

    steps = pl.read_csv(home / "report" / "tables" / "statistics_by_step.csv")
    points = steps.filter(series="sft", statistic="nuclear_norm", projection="q", style="none")
    assert sorted(points["step"].unique().to_list()) == STEPS
    with open_instance(workspace) as instance:
        runs = instance.fetch_materializations(dg.AssetKey("gradient_spectra"), limit=1000).records
    computed: Counter[str] = Counter()
    for record in runs:
        event = record.asset_materialization
        assert event is not None
        computed[str(event.partition)] += int(str(event.metadata["computed"].value))
    assert len(computed) == len(STEPS)
    # 4 items in two styles, correct and irrelevant, each once.
    assert set(computed.values()) == {16}


def wait_for_steps(workspace: Workspace, log: Path) -> None:
    """Wait until the report has every step."""
    deadline = time.monotonic() + MOST_SECONDS
    table = Path(str(workspace.report_folder)) / "tables" / "statistics_by_step.csv"
    while True:
        found = pl.read_csv(table)["step"].unique().to_list() if table.is_file() else []
        if sorted(found) == STEPS:
            return
        assert time.monotonic() < deadline, f"{found}: {log.read_text()[-4000:]}"
        time.sleep(5)
