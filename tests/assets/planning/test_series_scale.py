"""Five hundred checkpoints stay usable: planning, and what it reads."""

import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

import gradpipe.models.fingerprint
from assets.planning.plan import Plan
from assets.planning.versions import Versions
from assets.stages import STAGES
from gradpipe.studies.load import parse_study
from storage.workspace import Workspace

BENCHMARKS = "[{name: mini_obscure, sample: 2}, {name: mini_popular, sample: 2}]"


def many_checkpoints(folder: Path, count: int) -> None:
    for step in range(1, count + 1):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "config.json").write_text("{}")
        (checkpoint / "tokenizer.json").write_text("{}")
        save_file({"w": np.full(4, step, np.float32)}, checkpoint / "model.safetensors")
        state = {"global_step": step, "log_history": [{"loss": 1.0, "step": n} for n in range(99)]}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state, indent=2))


@pytest.fixture
def workspace(home: Path, tmp_path: Path) -> Workspace:
    home.mkdir(exist_ok=True)
    workspace = Workspace(home)
    entry = f'{{id: {tmp_path / "runs"}, checkpoints: "checkpoint-*"}}'
    workspace.keep_study(parse_study(f"models: [{entry}]\nbenchmarks: {BENCHMARKS}", "many.yaml"))
    return workspace


def plan(workspace: Workspace) -> int:
    """The number of stale units, as the sensor and the command line find it."""
    return len(Plan.of_reachable(Versions(workspace, workspace.study())).stale())


def test_planning_hashes_no_weights_of_checkpoints_that_are_not_computed_yet(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_checkpoints(tmp_path / "runs", 3)
    hashed: list[Path] = []
    digest = gradpipe.models.fingerprint.file_digest

    def watched(path: Path) -> str:
        hashed.append(path)
        return digest(path)

    monkeypatch.setattr(gradpipe.models.fingerprint, "file_digest", watched)
    # Two benchmarks of two stages, three checkpoints on each, and the report.
    assert plan(workspace) == 2 * 2 + 3 * 2 + 1
    assert [path for path in hashed if path.suffix == ".safetensors"] == []


@pytest.mark.slow
def test_five_hundred_checkpoints_are_planned_in_two_seconds(
    workspace: Workspace, tmp_path: Path
) -> None:
    many_checkpoints(tmp_path / "runs", 500)
    assert seconds(workspace, stale=2 * 2 + 500 * 2 + 1) < 2
    versions = Versions(workspace, workspace.study())
    for stage in STAGES[:4]:
        for cell in stage.partitions(versions.study):
            table = versions.table(stage, cell)
            table.write(pl.DataFrame({"x": [1]}), versions.version(stage, cell))
    assert seconds(workspace, stale=1) < 2


def seconds(workspace: Workspace, stale: int) -> float:
    """The shortest time of some plans: other processes only make one longer."""
    times = []
    for _ in range(4):
        started = time.perf_counter()
        assert plan(workspace) == stale
        times.append(time.perf_counter() - started)
    return min(times)
