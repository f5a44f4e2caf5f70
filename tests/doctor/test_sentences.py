"""The sentences of the doctor's findings, kept in a snapshot; nothing in them is of a machine."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import psutil
import pytest
import torch
from huggingface_hub import constants
from syrupy.assertion import SnapshotAssertion

from gradpipe.doctor import device, outside, room
from gradpipe.doctor.finding import Finding, examine
from gradpipe.system import control_groups
from tests.doctor.conftest import install


def lines(findings: Iterable[Finding], folder: Path | None = None) -> list[str]:
    """Findings as the command line prints them, with ``folder`` as FOLDER."""
    texts = [f"{each.state}: {each}" for each in findings]
    return [text.replace(str(folder), "FOLDER") for text in texts] if folder else texts


def test_gpus_that_torch_cannot_use(
    driver: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    install(driver)
    found = []
    for build in (None, "13.0"):
        monkeypatch.setattr(torch.version, "cuda", build)
        found += [each for each in device.examine_device() if each.state != "ok"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found += [each for each in device.examine_device() if each.state != "ok"]
    assert lines(found) == snapshot


def test_gpus_that_are_tried(
    driver: Path,
    gpu: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    found = []
    for error in ("", "CUDA error: no kernel image is available"):
        gpu(error)
        found += list(device.examine_device())
    assert lines(found) == snapshot


def test_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setattr(control_groups, "CONTROL_GROUPS", ())
    found: list[Finding] = []
    for free in (2**26, 2**30, 2**33):
        memory = SimpleNamespace(available=free, total=2**34)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        found += room.examine_memory()
    (tmp_path / "max").write_text(f"{2**32}\n")
    (tmp_path / "current").write_text(f"{3 * 2**30}\n")
    group = str(tmp_path / "max"), str(tmp_path / "current")
    monkeypatch.setattr(control_groups, "CONTROL_GROUPS", (group,))
    found += room.examine_memory()
    assert lines(found) == snapshot


def test_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    (tmp_path / "file").write_bytes(bytes(2**20))
    folders = {"workspace": tmp_path, "cache": tmp_path / "new", "Dagster's runs": tmp_path}
    found: list[Finding] = []

    def no_folder() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    for free in (2**26, 2**31, 2**40):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        found += room.examine_disk(folders)
    found += room.examine_disk({"workspace": tmp_path / "file" / "below"})
    monkeypatch.setattr(os, "access", lambda *_: False)
    found += room.examine_disk(folders)
    assert lines(found, tmp_path) == snapshot


def test_the_hub(
    hub: Callable[[Exception | float | None], None],
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
) -> None:
    refusal: Any = RuntimeError("Unauthorized")
    refusal.response = SimpleNamespace(status_code=401)
    found: list[Finding] = []
    for answer in (None, ConnectionError(), refusal):
        hub(answer)
        found += outside.examine_hub()
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    hub(None)
    found += outside.examine_hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found += outside.examine_hub()
    assert lines(found) == snapshot


def test_packages(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    needed = ["polars>=99", "no-such-package>=1.2", 'pytest>=99; extra == "dev"']
    monkeypatch.setattr(outside, "requires", lambda _: needed)
    versions = {"polars": "2.1.0", "pytest": "9.0"}
    monkeypatch.setattr(outside, "_version", versions.get)
    monkeypatch.setattr(outside.platform, "python_version", lambda: "3.11.7")
    assert lines(outside.examine_versions()) == snapshot


def test_variables(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    for name in ("GRADPIPE_HOME", "GRADPIPE_POSTGRES_URL", "HF_TOKEN", "HOME"):
        monkeypatch.delenv(name, raising=False)
    found = list(outside.examine_environment())
    for name in ("GRADPIPE_HOME", "GRADPIPE_POSTGRES_URL", "HF_TOKEN", "HOME"):
        monkeypatch.setenv(name, "s3://user:secret@bucket/folder")
    assert lines([*found, *outside.examine_environment()]) == snapshot


def test_a_check_that_fails(snapshot: SnapshotAssertion) -> None:
    def fail() -> Iterable[Finding]:
        raise OSError(5, "Input/output error")

    assert lines(examine("disk", fail)) == snapshot
