"""Memory and disks: what is free, what cannot be written, and nothing made by looking."""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gradpipe.doctor.finding import Finding
from gradpipe.doctor.room import examine_disk, examine_memory, folder_size
from gradpipe.system import control_groups


def on_disk(name: str, folder: Path) -> Finding:
    return next(iter(examine_disk({name: folder})))


@pytest.mark.parametrize(
    ("free", "state"), [(2**26, "fault"), (2**30, "warning"), (2**33, "ok")], ids=str
)
def test_low_memory_is_a_warning_and_very_low_memory_a_fault(
    free: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(available=free, total=2**34)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(control_groups, "CONTROL_GROUPS", ())
    (found,) = examine_memory()
    assert found.state == state
    assert bool(found.cure) == (state != "ok")


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(available=2**34, total=2**35)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    groups = [(tmp_path / "max", tmp_path / "current"), (tmp_path / "none", tmp_path / "none")]
    monkeypatch.setattr(
        control_groups, "CONTROL_GROUPS", [tuple(map(str, group)) for group in groups]
    )
    (tmp_path / "max").write_text(f"{2**32}\n")
    (tmp_path / "current").write_text(f"{3 * 2**30}\n")
    (found,) = examine_memory()
    assert "4 GiB" in found.found
    assert found.state == "warning"
    (tmp_path / "max").write_text("max\n")
    (found,) = examine_memory()
    assert "32 GiB" in found.found
    assert found.state == "ok"


@pytest.mark.parametrize(("free", "state"), [(2**26, "fault"), (2**31, "warning"), (2**40, "ok")])
def test_a_full_disk_is_reported_with_the_variable_to_set(
    free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = on_disk("workspace", tmp_path)
    assert found.state == state
    assert ("GRADPIPE_HOME" in found.cure) == (state != "ok")


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    assert on_disk("cache", tmp_path / "a" / "b").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_a_workspace_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(3 * 2**20))
    (tmp_path / "link").symlink_to("/nowhere")
    assert folder_size(tmp_path) == 3 * 2**20 + len("/nowhere")
    assert "3 MiB" in on_disk("workspace", tmp_path).found


def test_a_file_in_place_of_a_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = on_disk("workspace", tmp_path / "file")
    assert found.state == "fault"
    assert str(tmp_path / "file") in found.found


def test_a_folder_that_cannot_be_written_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.geteuid() == 0:
        # Root may write anywhere but to a file system that nobody may.
        monkeypatch.setattr(os, "access", lambda *_: False)
    found = on_disk("cache", tmp_path / "new")
    assert found.state == "fault"
    assert str(tmp_path) in found.cure
    assert "XDG_CACHE_HOME" in found.cure


def test_no_folder_for_temporary_files_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    (found,) = examine_disk({})
    assert found.state == "fault"
    assert "TMPDIR" in found.cure
