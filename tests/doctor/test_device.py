"""Accelerators that work, that torch cannot use, and that are hidden from it."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gradpipe.doctor import device
from gradpipe.doctor.device import examine_device
from gradpipe.doctor.finding import Finding


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the NVIDIA driver would show itself, without one; torch finds no accelerator."""
    path = tmp_path / "version"
    monkeypatch.setattr(device, "NVIDIA", path)
    monkeypatch.setattr(device, "AMD", tmp_path / "kfd")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return path


def install(driver: Path) -> None:
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n")


def only(state: str) -> list[Finding]:
    return [found for found in examine_device() if found.state == state]


def test_without_an_accelerator_the_processor_is_named(driver: Path) -> None:
    assert only("warning") + only("fault") == []
    assert [found.found[:5] for found in only("ok")] == ["cpu: "]


def test_a_gpu_for_which_torch_was_not_built_is_a_fault(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(driver)
    monkeypatch.setattr(torch.version, "cuda", None)
    (fault,) = only("fault")
    assert "an NVIDIA GPU (driver 550.54.15) is there, and torch" in fault.found
    assert "is built without CUDA" in fault.found


def test_a_driver_that_is_too_old_for_torch_is_a_fault(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(driver)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    (fault,) = only("fault")
    assert "built for CUDA 13.0, cannot use it" in fault.found
    assert "update the driver" in fault.cure


def test_a_gpu_that_a_variable_hides_is_a_warning_that_names_it(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    (warning,) = only("warning")
    assert warning.cure == "unset CUDA_VISIBLE_DEVICES"
    assert only("fault") == []


def test_a_gpu_without_a_driver_version_is_told_too(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.AMD.touch()
    monkeypatch.setattr(torch.version, "hip", None)
    (fault,) = only("fault")
    assert fault.found.startswith("an AMD GPU is there, and torch")


@pytest.mark.parametrize("error", ["", "CUDA error: no kernel image is available\nmore"])
def test_a_gpu_is_tried_and_not_only_seen(
    driver: Path, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    (found,) = examine_device()
    assert found.found.startswith("cuda:0: GPU of a test, 1 GiB of 2 GiB free, bfloat16")
    assert found.state == ("fault" if error else "ok")
    assert ("no kernel image is available" in found.found) == bool(error)
    assert ("sm_90" in found.cure) == bool(error)


def test_a_torch_that_cannot_be_loaded_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (fault,) = examine_device()
    assert fault.state == "fault"
    assert fault.found.startswith("torch cannot be loaded")
