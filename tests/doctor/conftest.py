"""A machine with and without a GPU, and a hub that answers as a test wants."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi, constants

from gradpipe.doctor import device

SECRET = "hf_swordfish0123456789"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the NVIDIA driver's version, which does not exist; torch has no accelerator."""
    path = tmp_path / "version"
    monkeypatch.setattr(device, "NVIDIA", path)
    monkeypatch.setattr(device, "AMD", tmp_path / "kfd")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return path


def install(driver: Path) -> None:
    """Put a driver's version where the doctor reads it."""
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes torch see one GPU, on which work fails with a message, if not empty."""

    def plug_in(error: str) -> None:
        def ones(_size: int, **_: Any) -> Any:
            if error:
                raise RuntimeError(error)
            return SimpleNamespace(sum=lambda: 2.0)

        cuda = {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "mem_get_info": lambda _device: (2**30, 2**31),
            "is_bf16_supported": lambda: True,
            "get_arch_list": lambda: ["sm_90"],
            "get_device_name": lambda _device: "GPU of a test",
        }
        for name, answer in cuda.items():
            monkeypatch.setattr(torch.cuda, name, answer)
        monkeypatch.setattr(torch, "ones", ones)

    return plug_in


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | float | None], None]:
    """A function that sets the hub's answer: None for success, an error, or seconds of delay."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: SECRET)

    def answer(how: Exception | float | None) -> None:
        def model_info(*_: Any, **__: Any) -> None:
            if isinstance(how, Exception):
                raise how
            time.sleep(how or 0)

        monkeypatch.setattr(HfApi, "model_info", model_info)

    return answer
