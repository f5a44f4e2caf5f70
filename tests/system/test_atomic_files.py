"""A file written aside is whole or not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from gradpipe.system.atomic_files import aside_path, sweep_leftovers, written_aside

NAME = "from gradpipe.system.atomic_files import process_name; print(process_name())"


def test_the_new_file_takes_the_old_ones_place_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with written_aside(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def ended() -> str:
    """The name of a process that has ended."""
    return subprocess.run(
        [sys.executable, "-c", NAME], capture_output=True, check=True, encoding="utf-8"
    ).stdout.strip()


def test_files_and_folders_of_ended_processes_are_deleted(tmp_path: Path, ended: str) -> None:
    report, model, weights = f".report.{ended}.0a.tmp", f"model-1.{ended}.tmp", f"{ended}.0a"
    for folder in (report, model, weights):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "file").touch()
    (tmp_path / f".table.{ended}.0a.tmp").touch()
    mine = aside_path(tmp_path / "report")
    mine.mkdir()
    below = tmp_path / "below" / f".table.{ended}.0a.tmp"
    below.parent.mkdir()
    below.touch()
    assert sweep_leftovers(tmp_path) == 4
    assert set(tmp_path.iterdir()) == {mine, below.parent}
    assert below.exists()
    assert sweep_leftovers(tmp_path, recursive=True) == 1
    assert set(tmp_path.iterdir()) == {mine, below.parent}


def test_a_link_is_deleted_and_what_it_points_to_stays(tmp_path: Path, ended: str) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / f".link.{ended}.0a.tmp").symlink_to(kept)
    assert sweep_leftovers(tmp_path) == 1
    assert (kept / "file").exists()
    assert list(tmp_path.iterdir()) == [kept]
