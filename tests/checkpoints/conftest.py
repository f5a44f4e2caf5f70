"""Folders that look like checkpoints of a training run."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

MakeCheckpoint = Callable[..., Path]


def age(folder: Path, seconds: float) -> None:
    """Set the times of a folder and its files back."""
    then = time.time() - seconds
    for place in (*folder.iterdir(), folder):
        os.utime(place, (then, then))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The output folder of a training run."""
    folder = tmp_path / "runs" / "sft"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def save(runs: Path) -> MakeCheckpoint:
    """A function that saves a checkpoint as transformers' Trainer does, state last."""

    def make(name: str, step: int | None = None, value: float = 1.0) -> Path:
        folder = runs / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        save_file({"w": np.full(4, value, np.float32)}, folder / "model.safetensors")
        (folder / "tokenizer.json").write_text("{}")
        if step is not None:
            state = {"best_global_step": 7, "global_step": step, "log_history": [{"step": 1}]}
            (folder / "trainer_state.json").write_text(json.dumps(state, indent=2) + "\n")
        return folder

    return make
