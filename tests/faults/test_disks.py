"""A disk that is full, and a workspace that cannot be written: a clear stop, and then on."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.conftest import STAGES, Bench, Disk, assert_a_clear_stop
from tests.faults.runs import drop_privileges, fork_server

#: Kilobytes of the disk beyond what is on it: Dagster's own tables take 200, a run's events 60.
ROOMS = (0, 20, 50, 90, 140, 200, 270, 350, 450)


FULL = ("No space left on device", "disk is full", "disk I/O error", "unable to open database")


def used(folder: Path) -> int:
    """Kilobytes on a disk."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


def fill_up(bench: Bench, disk: Disk, stage: str, room: int, notes: Path) -> str | None:
    """A run from before a stage with that much room; what it says, or None where it was enough."""
    disk.mount("size=50m")
    workspace = disk.folder / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    bench.before(stage, workspace)
    disk.mount(f"size={used(disk.folder) + room}k")
    ended = bench.begin(workspace, notes=notes).end()
    said = assert_a_clear_stop(ended, *FULL) if ended.code else None
    disk.mount("size=50m")
    bench.finish(workspace, notes=notes)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_stops_a_run_clearly_and_with_room_it_goes_on(
    bench: Bench, disk: Disk, tmp_path: Path, stage: str
) -> None:
    said = [fill_up(bench, disk, stage, room, tmp_path / "notes") for room in ROOMS]
    print(stage, Counter("enough" if one is None else one.partition(" (")[0] for one in said))
    assert said[0] is not None


def test_a_disk_that_fills_up_among_the_spectra_loses_none_that_are_kept(
    bench: Bench, disk: Disk, tmp_path: Path
) -> None:
    assert fill_up(bench, disk, "gradient_spectra", 140, tmp_path / "notes") is not None


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 60, 120, 200, 260, 400])
def test_a_new_workspace_on_a_full_disk_is_good_once_there_is_room(
    bench: Bench, disk: Disk, tmp_path: Path, size: int
) -> None:
    disk.mount(f"size={size}k")
    workspace = disk.folder / "workspace"
    notes = tmp_path / "notes"
    assert_a_clear_stop(bench.begin(workspace, notes=notes).end(), *FULL)
    disk.mount("size=50m")
    bench.finish(workspace, notes=notes)


@pytest.mark.slow
def test_a_workspace_that_cannot_be_written_is_left_as_it_is(
    bench: Bench, disk: Disk, tmp_path: Path
) -> None:
    workspace = bench.before("gradient_spectra", disk.folder / "workspace")
    disk.mount("ro")
    ended = bench.begin(workspace, notes=tmp_path / "notes").end()
    assert_a_clear_stop(ended, "Read-only file system")
    disk.mount("rw")
    bench.finish(workspace, notes=tmp_path / "notes")


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_stops_a_run_in_its_midst(
    bench: Bench, disk: Disk, tmp_path: Path
) -> None:
    workspace = bench.before("gradient_spectra", disk.folder / "workspace")
    run = bench.begin(workspace, notes=tmp_path / "notes")
    store = workspace / "gradient_spectra"
    while len(list(store.rglob("part-*"))) < 3 and run.process.is_alive():
        run.process.join(0.005)
    # While a file is open for writing, a disk cannot be made read-only: until it can.
    while run.process.is_alive():
        try:
            disk.mount("ro")
            break
        except Exception:
            run.process.join(0.001)
    ended = run.end()
    if ended.code == 0:
        pytest.skip("the run was through before the disk could be made read-only")
    assert_a_clear_stop(ended, "Read-only file system", "readonly database", "unable to open")
    disk.mount("rw")
    bench.finish(workspace, notes=tmp_path / "notes")


def is_refused(folder: Path, refused: Path) -> None:
    """Notes whether this process, without privileges, may write in a folder."""
    drop_privileges()
    if not os.access(folder, os.W_OK):
        refused.touch()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", "dagster", "gradient_spectra"])
def test_another_users_workspace_stops_a_run_clearly(
    bench: Bench, workspace: Path, tmp_path: Path, part: str
) -> None:
    bench.before("gradient_spectra", workspace)
    (workspace / part).mkdir(exist_ok=True)
    for path in [workspace / part, *(workspace / part).rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
        if os.getuid() == 0:
            os.chown(path, 65534, 65534)
        else:
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
    asked = fork_server().Process(target=is_refused, args=(workspace / part, tmp_path / "refused"))
    asked.start()
    asked.join()
    if not (tmp_path / "refused").exists():
        pytest.skip("a process here may write everywhere, and cannot give that up")
    notes = tmp_path / "notes"
    ended = bench.begin(workspace, notes=notes, change="no-privileges").end()
    assert_a_clear_stop(ended, "ermission denied", "readonly database", "unable to open")
    if os.getuid() == 0:
        bench.finish(workspace, notes=notes)
