"""Several writers at once: runs on one new workspace, and processes on one row store."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from storage.row_store import RowStore
from tests.faults.conftest import Bench
from tests.faults.runs import Ended, fork_server
from tests.faults.tables import assert_same, raw_keys, tables_of, workspace_at

SCHEMA = pl.Schema({"key": pl.String, "part": pl.String, "value": pl.Int64})
PARTS, ROWS = 60, 20


def at_once(bench: Bench, count: int, workspace: Path | str, notes: Path) -> list[Ended]:
    """So many runs of the study, started together, each to its end."""
    runs = [bench.begin(workspace, notes=notes / str(number)) for number in range(count)]
    return [run.end(within=300) for run in runs]


def assert_each_row_was_paid_once(bench: Bench, runs: list[Ended], workspace: Path | str) -> None:
    assert [ended.code for ended in runs] == [0] * len(runs), [ended.errors for ended in runs]
    bench.assert_whole(workspace)
    computed = sum(ended.counts["gradient_spectra"]["computed"] for ended in runs)
    assert computed == sum(map(len, raw_keys(workspace_at(workspace)).values()))


def test_two_runs_at_once_on_a_new_workspace_pay_each_row_once(
    bench: Bench, workspace: Path, tmp_path: Path
) -> None:
    assert_each_row_was_paid_once(bench, at_once(bench, 2, workspace, tmp_path), workspace)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_four_runs_at_once_on_a_new_workspace_pay_each_row_once(
    bench: Bench, workspace: Path, tmp_path: Path, number: int
) -> None:
    assert_each_row_was_paid_once(bench, at_once(bench, 4, workspace, tmp_path), workspace)


@pytest.mark.slow
def test_of_four_runs_at_once_one_is_killed_and_the_others_end_well(
    bench: Bench, workspace: Path, tmp_path: Path
) -> None:
    moments = random.Random(4)
    for number in range(5):
        shutil.rmtree(workspace, ignore_errors=True)
        notes = tmp_path / str(number)
        killed, *others = [bench.begin(workspace, notes=notes / str(each)) for each in range(4)]
        killed.kill_at(moments.uniform(0.2, 8))
        ended = [run.end(within=300) for run in others]
        assert [each.code for each in ended] == [0, 0, 0], [each.errors for each in ended]
        bench.finish(workspace)


@pytest.mark.slow
def test_two_runs_on_one_machine_pay_for_each_row_in_a_bucket_once(
    bench: Bench, s3: str, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = s3_environment | {"XDG_DATA_HOME": str(tmp_path / "data")}
    runs = [
        bench.begin(s3, notes=tmp_path / str(number), environment=environment)
        for number in range(2)
    ]
    ended = [run.end(within=300) for run in runs]
    assert [each.code for each in ended] == [0, 0], [each.errors for each in ended]
    expected = {name: frame for name, frame in bench.tables.items() if "report " not in name}
    assert_same(tables_of(workspace_at(s3)), expected)
    computed = sum(each.counts["gradient_spectra"]["computed"] for each in ended)
    assert computed == sum(map(len, raw_keys(workspace_at(s3)).values()))


@pytest.mark.slow
def test_two_machines_on_one_bucket_may_both_pay_and_read_each_row_once(
    bench: Bench, s3: str, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    # The lock is a file: what another machine computes is seen when it is there, not before.
    runs = [
        bench.begin(
            s3,
            notes=tmp_path / str(number),
            environment=s3_environment | {"XDG_DATA_HOME": str(tmp_path / f"data {number}")},
        )
        for number in range(2)
    ]
    ended = [run.end(within=300) for run in runs]
    assert [each.code for each in ended] == [0, 0], [each.errors for each in ended]
    expected = {name: frame for name, frame in bench.tables.items() if "report " not in name}
    assert_same(tables_of(workspace_at(s3)), expected)


def wait(sign: Path) -> None:
    """Give a sign, and wait to be killed."""
    sign.touch()
    time.sleep(600)


def append(folder: Path, name: str, waits_at: int | None = None) -> None:
    """Parts of keys that another writer has too, and of keys that are this writer's alone.

    A writer that is to be killed waits for it in the midst of one of its parts.
    """
    store = RowStore(folder, SCHEMA)
    for number in range(PARTS):
        if number == waits_at:
            setattr(os, "fsync", lambda _: wait(folder.with_name("waits")))  # noqa: B010
        shared = number % 2 == 0
        owner = "all" if shared else name
        keys = [f"{owner} {number} {row}" for row in range(ROWS)]
        values = [number * ROWS + row for row in range(ROWS)]
        store.append(pl.DataFrame({"key": keys, "part": f"{owner} {number}", "value": values}))


def read(folder: Path, stop: Path, faults: Path) -> None:
    """Reads until it is told to stop; what is no whole part, or gone again, is noted."""
    store, seen, reads = RowStore(folder, SCHEMA), 0, 0
    while not stop.exists():
        counts = store.scan().group_by("part").len().collect()
        height = store.keys().len()
        whole = counts["len"].unique().to_list() in ([], [ROWS])
        if not whole or height < seen or height < counts["len"].sum():
            faults.write_text(f"{counts} {height} after {seen}")
        seen, reads = height, reads + 1
    (faults.with_suffix(".reads")).write_text(str(reads))


def test_four_writers_of_like_and_unlike_keys_one_of_them_killed_beside_readers(
    tmp_path: Path,
) -> None:
    folder, stop = tmp_path / "rows", tmp_path / "stop"
    context = fork_server()
    readers: list[Any] = [
        context.Process(
            target=read, args=(folder, stop, tmp_path / f"reader {number}"), daemon=True
        )
        for number in range(2)
    ]
    middle = random.Random(5).randrange(PARTS // 3, 2 * PARTS // 3)
    writers: list[Any] = [
        context.Process(
            target=append,
            args=(folder, name, middle if name == "killed" else None),
            daemon=True,
        )
        for name in ("killed", "b", "c", "d")
    ]
    for process in [*readers, *writers]:
        process.start()
    victim, *others = writers
    store = RowStore(folder, SCHEMA)
    deadline = time.monotonic() + 300
    while not (tmp_path / "waits").exists() or len(store.parts()) < 2 * PARTS:
        assert victim.is_alive()
        assert time.monotonic() < deadline, "the writers stopped"
        time.sleep(0.002)
    victim.kill()
    for process in writers:
        process.join(300)
    stop.touch()
    for process in readers:
        process.join(300)
    assert victim.exitcode == -9
    assert len(list(folder.glob(".part-*"))) == 1
    assert [process.exitcode for process in others] == [0, 0, 0]
    assert [process.exitcode for process in readers] == [0, 0]
    assert not list(tmp_path.glob("reader ?")), "a reader saw a part that is not whole"
    assert all(int(file.read_text()) > 0 for file in tmp_path.glob("*.reads"))
    found = store.scan().collect()
    parts = {f"all {number}" for number in range(0, PARTS, 2)} | {
        f"{name} {number}" for name in ("b", "c", "d") for number in range(1, PARTS, 2)
    }
    assert parts <= set(found["part"])
    assert found.group_by("part").len()["len"].unique().to_list() == [ROWS]
    assert found["key"].is_unique().all()
    assert (found["value"] // ROWS == found["part"].str.extract(r"(\d+)$").cast(pl.Int64)).all()
