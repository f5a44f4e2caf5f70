"""Accelerators that work, that torch cannot use, and that are hidden from it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gradpipe.doctor import device
from gradpipe.doctor.device import examine_device
from gradpipe.doctor.finding import Finding
from tests.doctor.conftest import install


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
    for word in ("NVIDIA", "550.54.15", "torch", "CUDA"):
        assert word in fault.found
    assert "CUDA" in fault.cure


def test_a_driver_that_is_too_old_for_torch_is_a_fault(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(driver)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    (fault,) = only("fault")
    assert "CUDA 13.0" in fault.found
    assert "driver" in fault.cure


def test_a_gpu_that_a_variable_hides_is_a_warning_that_names_it(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    (warning,) = only("warning")
    assert "CUDA_VISIBLE_DEVICES" in warning.cure
    assert only("fault") == []


def test_a_gpu_without_a_driver_version_is_reported_too(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.AMD.touch()
    monkeypatch.setattr(torch.version, "hip", None)
    (fault,) = only("fault")
    for word in ("AMD", "torch", "ROCm"):
        assert word in fault.found


@pytest.mark.parametrize("error", ["", "CUDA error: no kernel image is available\nmore"])
def test_a_gpu_is_tested_with_a_computation(
    driver: Path, gpu: Callable[[str], None], error: str
) -> None:
    gpu(error)
    (found,) = examine_device()
    for word in ("cuda:0", "GPU of a test", "bfloat16"):
        assert word in found.found
    assert found.state == ("fault" if error else "ok")
    assert ("no kernel image is available" in found.found) == bool(error)
    assert ("sm_90" in found.cure) == bool(error)


def test_a_torch_that_cannot_be_loaded_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (fault,) = examine_device()
    assert fault.state == "fault"
    assert "torch" in fault.found
    assert "torch" in fault.cure
