"""What killed processes leave on the disk is never read, and goes when it is safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradpipe.models.load import load_model
from gradpipe.models.placement import Placement
from gradpipe.system.atomic_files import process_name, sweep_leftovers, written_aside
from tests.conftest import save_mixture
from tests.faults.runs import fork_server


def write_and_die(path: Path) -> None:
    """A kill in the midst of writing a file."""
    with written_aside(path) as aside:
        aside.write_bytes(b"half")
        os.kill(os.getpid(), 9)


def load_and_die(model: Path, cache: Path) -> None:
    """A kill while a model has weights on the disk that had to be rearranged."""
    os.environ["XDG_CACHE_HOME"] = str(cache)
    loaded = load_model(str(model), placement=Placement({"": "disk"}))
    assert loaded.model is not None
    os.kill(os.getpid(), 9)


def die(target: object, *arguments: object) -> None:
    process = fork_server().Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    process.join(300)
    assert process.exitcode == -9


def test_a_half_written_file_of_a_killed_process_goes_and_no_other_does(tmp_path: Path) -> None:
    folder = tmp_path / "deep.er" / "still"
    folder.mkdir(parents=True)
    die(write_and_die, folder / "part.1.parquet")
    [stray] = folder.iterdir()
    elsewhere = stray.with_name(stray.name.partition("@")[0] + "@0123abcd.01234567.tmp")
    others = [elsewhere, *(folder / name for name in (".tmp", ".x.tmp", "notes.tmp", ".a.b.c.tmp"))]
    for other in others:
        other.touch()
    with written_aside(folder / "table.parquet") as aside:
        aside.touch()
        assert sweep_leftovers(tmp_path) == 0
        assert sweep_leftovers(tmp_path, recursive=True) == 1
        assert aside.exists()
    assert set(folder.iterdir()) == {*others, folder / "table.parquet"}
    assert sweep_leftovers(tmp_path / "nowhere") == 0


def test_weights_that_a_killed_process_left_on_the_disk_go_at_the_next_load(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture, cache = tmp_path / "mixture", tmp_path / "cache"
    save_mixture(small_model, mixture)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    offload = cache / "gradpipe" / "offload"
    mine = load_model(str(mixture), placement=Placement({"": "disk"}))
    [kept] = offload.iterdir()
    die(load_and_die, mixture, cache)
    [left] = set(offload.iterdir()) - {kept}
    assert any(left.iterdir())
    assert process_name() not in left.name
    foreign = offload / f"{left.name.partition('@')[0]}@0123abcd.1"
    foreign.mkdir()
    load_model(str(small_model))
    assert set(offload.iterdir()) == {kept, foreign}
    assert mine.model is not None
