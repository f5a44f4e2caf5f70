"""Training on two processes: the first one measures, and both train as they would without."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gradpipe.errors import ModelError
from gradpipe.training.batch_spectra import BatchSpectra
from gradpipe.training.gradient_probe import GradientProbe
from gradpipe.training.wrapped_models import unwrapped
from tests.conftest import ROOT
from tests.training.runs import PAIRS, small_trainer, with_dropout


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def processes(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes wrote, connected by gloo on this machine."""
    out = tmp_path_factory.mktemp("distributed")
    loopback = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
        "WORLD_SIZE": "2",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.training.distributed_run", str(small_model), str(out)]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **loopback, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors[0][-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_train_as_without_callbacks(processes: list[dict[str, Any]]) -> None:
    assert [(one["wrapped"], one["world"]) for one in processes] == [
        ("DistributedDataParallel", 2)
    ] * 2
    for one in processes:
        without, measured = one["left"]
        assert [name for name in without if without[name] != measured[name]] == []
    assert processes[0]["left"][0]["weights"] == processes[1]["left"][0]["weights"]


@pytest.mark.slow
def test_the_first_process_alone_measures(processes: list[dict[str, Any]]) -> None:
    assert [one["steps"] for one in processes] == [[[0, 4, 8], [4, 8]], [[], []]]


def test_wrappers_are_looked_through(small_model: Path) -> None:
    model = with_dropout(small_model)
    assert unwrapped(model) is model
    assert unwrapped(torch.compile(model)) is model
    assert unwrapped(nn.DataParallel(model)) is model
    assert unwrapped(torch.compile(nn.DataParallel(model))) is model


class FullyShardedDataParallel(nn.Module):
    """A module that is called as FSDP's."""


@pytest.mark.parametrize("way", ["FSDP", "ZeRO-3", "DTensor"])
def test_sharded_weights_are_refused_before_the_first_step(
    way: str, small_model: Path, tmp_path: Path
) -> None:
    model = with_dropout(small_model)
    if way == "FSDP":
        model.model.layers[1].wrapped = FullyShardedDataParallel()
    else:
        mark = {"ZeRO-3": "ds_id", "DTensor": "device_mesh"}[way]
        setattr(model.model.norm.weight, mark, 0)
    before = model.model.norm.weight.clone()
    for callback in (GradientProbe(PAIRS), BatchSpectra()):
        trainer = small_trainer(small_model, tmp_path, [callback], model=model)
        with pytest.raises(ModelError, match=rf"sharded over processes \(.*{way}"):
            trainer.train()
    assert torch.equal(before, model.model.norm.weight)
