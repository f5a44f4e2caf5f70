"""Merges of small parts: every read returns the same rows, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.errors import DamagedError, WorkspaceError
from storage import parts
from storage.checksums import sealed_parquet
from storage.column_checksums import part_seal
from storage.local_files import LocalFiles
from storage.locations import filesystem_of, open_location
from storage.parts import merged_part_name, parts_at_once, parts_to_merge, unique_part_name
from storage.row_store import RowStore
from storage.workspace import SPECTRA_SCHEMA, Workspace
from tests.conftest import study_of
from tests.storage.conftest import DAMAGES, spoil

if TYPE_CHECKING:
    from storage.filesystem import Location

SCHEMA = pl.Schema({"key": pl.String, "value": pl.Int64, "text": pl.String})
#: Parts below this size are small: those of a few rows, but none with a long text.
SMALL = 4000
LONG = 2 * SMALL


def frame(keys: list[str], first_value: int = 0, text: str = "") -> pl.DataFrame:
    values = range(first_value, first_value + len(keys))
    columns = {"key": keys, "value": values, "text": [text] * len(keys)}
    return pl.DataFrame(columns, schema=SCHEMA)


def long_text(seed: int) -> str:
    """A text that does not compress below SMALL."""
    return random.Random(seed).randbytes(LONG).hex()


@pytest.fixture(autouse=True)
def small_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two adjacent parts are enough for a merge."""
    monkeypatch.setattr(parts, "FEWEST_PARTS", 2)
    monkeypatch.setattr(parts, "SMALL_PART", SMALL)


@given(
    sizes=st.lists(st.integers(0, 12), max_size=40),
    small=st.integers(1, 10),
    most=st.integers(10, 40),
    fewest=st.integers(2, 5),
)
def test_groups_are_runs_of_small_parts_as_long_as_allowed(
    sizes: list[int], small: int, most: int, fewest: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SMALL_PART", small)
        patch.setattr(parts, "MERGED_PART", most)
        patch.setattr(parts, "FEWEST_PARTS", fewest)
        groups = parts_to_merge(dict(enumerate(sizes)))
    for group in groups:
        assert len(group) > 1
        assert group == list(range(group[0], group[-1] + 1))
        assert sum(sizes[part] for part in group) <= most
    merged = [part for group in groups for part in group]
    assert merged == sorted(set(merged))
    for is_small, run in itertools.groupby(range(len(sizes)), lambda part: sizes[part] < small):
        members = list(run)
        left = [part for part in members if part not in merged]
        if not is_small or len(members) < fewest:
            assert left == members
        elif left:
            # A part that stays alone is too large for the group before it and the part after it.
            before = {group[-1] + 1: sum(sizes[part] for part in group) for group in groups}
            for part in left:
                assert part not in before or before[part] + sizes[part] > most
                assert part == members[-1] or sizes[part] + sizes[part + 1] > most


def test_a_merged_part_sorts_where_its_first_part_did_and_its_name_stays_short() -> None:
    names = [unique_part_name() for _ in range(5)]
    merged = merged_part_name(names[2])
    assert sorted([*names, merged]) in (
        [*names[:2], merged, *names[2:]],
        [*names[:3], merged, *names[3:]],
    )
    for _ in range(50):
        merged = merged_part_name(merged)
    assert names[1] < merged < names[3]
    assert len(merged) < len(names[0]) + 10


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=20),
    memory=st.integers(1, 40),
    most=st.integers(1, 8),
)
def test_as_many_parts_are_read_at_once_as_fit(sizes: list[int], memory: int, most: int) -> None:
    left, groups = dict(enumerate(sizes)), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "READ_AT_ONCE", memory)
        while left:
            groups.append(parts_at_once(left, most))
            left = {part: size for part, size in left.items() if part not in groups[-1]}
    assert [part for group in groups for part in group] == list(range(len(sizes)))
    for group, following in itertools.zip_longest(groups, groups[1:]):
        total = sum(sizes[part] for part in group)
        assert len(group) <= most
        assert len(group) == 1 or total <= memory
        assert not following or len(group) == most or total + sizes[following[0]] > memory


@pytest.mark.parametrize("kind", ["local", "memory"])
@settings(max_examples=15, deadline=None)
@given(
    layout=st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5),
            st.sampled_from(["small", "small", "small", "long", "older"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_merged_parts_equal_their_concatenation_without_repetitions(
    tmp_path_factory: pytest.TempPathFactory, kind: str, layout: list[tuple[list[str], str, bool]]
) -> None:
    home = f"memory://{uuid4().hex}" if kind == "memory" else str(tmp_path_factory.mktemp("rows"))
    store = RowStore(open_location(home), SCHEMA)
    frames = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FEWEST_PARTS", 2)
        patch.setattr(parts, "SMALL_PART", SMALL)
        for number, (keys, size, merge) in enumerate(layout):
            rows = frame(keys, 100 * number, long_text(number) if size == "long" else "")
            if size == "older":
                # Written before the column `text` was added.
                rows = rows.with_columns(text=pl.lit(None, pl.String))
                part = store.folder / unique_part_name()
                filesystem_of(part).write(part, sealed_parquet(rows.drop("text")))
            else:
                store.append(rows)
            frames.append(rows)
            if merge or number == len(layout) - 1:
                before = len(store.parts())
                replaced = store.compact()
                assert len(store.parts()) <= before - replaced // 2
                assert store.compact() == 0, "a merge leaves nothing to merge"
            twin = pl.concat(frames).unique("key", keep="first", maintain_order=True)
            assert_frame_equal(store.scan().collect(), twin)
            assert_frame_equal(pl.concat(store.chunks(twin["key"], parts=2)), twin)
            assert sorted(store.keys()) == sorted(twin["key"])
            assert not store.damage()


def test_spectra_of_older_and_newer_parts_are_merged(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SMALL_PART", 100_000)
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    nan = float("nan")
    matrix = {"layer": 0, "projection": "q", "frobenius_norm": nan, "singular_values": [nan, 0.5]}
    older = pl.DataFrame(
        [{"key": "old", "loss": nan, "matrices": [matrix]}],
        schema={
            "key": pl.String,
            "loss": pl.Float64,
            "matrices": pl.List(
                pl.Struct(
                    {
                        "layer": pl.Int64,
                        "projection": pl.String,
                        "frobenius_norm": pl.Float64,
                        "singular_values": pl.List(pl.Float32),
                    }
                )
            ),
        },
    )
    newer = {**matrix, "next_layer_cosine": 0.25, "sketch": [1.0, None]}
    part = store.folder / unique_part_name()
    filesystem_of(part).write(part, sealed_parquet(older))
    store.append(pl.DataFrame([{"key": "new", "matrices": [newer]}], schema=SPECTRA_SCHEMA))
    store.append(pl.DataFrame([{"key": "not", "reason": "too long"}], schema=SPECTRA_SCHEMA))
    before = store.scan().collect()
    assert before["key"].to_list() == ["old", "new", "not"]
    assert store.compact() == 3
    assert len(store.parts()) == 1
    assert_frame_equal(store.scan().collect(), before)
    assert_frame_equal(pl.concat(store.chunks(before["key"])), before)


def test_large_parts_and_few_small_ones_stay_as_they_are(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(root / "rows", SCHEMA)
    assert store.compact() == 0
    for number in range(3):
        store.append(frame([f"small {number}"]))
        store.append(frame([f"long {number}"], text=long_text(number)))
    before = store.parts()
    assert store.compact() == 0
    for number in range(3):
        store.append(frame([f"last {number}"]))
    monkeypatch.setattr(parts, "FEWEST_PARTS", 4)
    assert store.compact() == 0
    monkeypatch.setattr(parts, "FEWEST_PARTS", 3)
    assert store.compact() == 3
    assert store.parts()[:-1] == before


def stored(store: RowStore) -> dict[str, int]:
    return dict(store.scan().select("key", "value").collect().iter_rows())


def test_a_merge_that_stops_before_it_deletes_leaves_rows_twice_and_the_next_one_heals_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(tmp_path, SCHEMA)
    for number, keys in enumerate((["a", "b"], ["b", "c"], ["a", "d"])):
        store.append(frame(keys, 100 * number))
    expected = {"a": 0, "b": 1, "c": 101, "d": 201}
    assert stored(store) == expected
    for kept in (0, 1, 2):
        delete, calls = LocalFiles.delete, iter(range(9))

        def failing(files: LocalFiles, part: Path, first: str = "", allowed: int = kept) -> None:
            if next(calls) >= allowed:  # noqa: B023 - used in this pass only
                raise KeyboardInterrupt
            delete(files, part, first)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(LocalFiles, "delete", failing)
            with pytest.raises(KeyboardInterrupt):
                store.compact()
        assert len(store.parts()) > 1
        assert list(stored(store).items()) == list(expected.items())
    assert store.compact() > 0
    assert len(store.parts()) == 1
    assert list(stored(store).items()) == list(expected.items())


def test_rows_that_an_interrupted_merge_left_twice_are_dropped_though_the_merged_part_is_large(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(root / "rows", SCHEMA)
    for number in range(4):
        store.append(frame([f"{number}", "again"], number, long_text(number)[:3000]))
    small = store.parts()
    expected = stored(store)
    with monkeypatch.context() as patch:
        patch.setattr(type(store._files), "delete", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.compact()
    (merged,) = set(store.parts()) - set(small)
    assert store._sizes()[merged] > SMALL
    store.append(frame(["new"], 9))
    assert store.compact() >= 4
    assert list(stored(store).items()) == [*expected.items(), ("new", 9)]
    assert store.bytes() < 2 * store._sizes()[merged]
    # The first of them may sort before the merged part, and stays alone then.
    assert len(store.parts()) <= 3
    raw = [key for part in store.parts() for key in pl.read_parquet(_content(part))["key"]]
    assert len(raw) <= len(expected) + 1 + 2


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _content(part: Location) -> bytes:
    content = filesystem_of(part).read(part)
    assert content is not None
    return content


def test_large_parts_of_an_earlier_version_get_checksums_of_their_columns_once(
    tmp_path: Path,
) -> None:
    store = RowStore(tmp_path, SCHEMA)
    older = []
    for number in range(3):
        part = tmp_path / unique_part_name()
        part.write_bytes(sealed_parquet(frame([f"{number}"], number, long_text(number))))
        older.append(part)
    store.append(frame(["new"], 9))
    before = store.scan().collect()
    assert store.compact() == 3
    assert not set(older) & set(store.parts())
    assert all(part_seal(part.read_bytes()) for part in map(Path, map(str, store.parts())))
    assert_frame_equal(store.scan().collect(), before)
    assert store.compact() == 0


@pytest.mark.parametrize("kind", ["local", "memory"])
@settings(max_examples=10, deadline=None)
@given(
    writers=st.lists(
        st.lists(
            st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=4),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_appends_beside_merges_lose_nothing_and_every_read_grows(
    tmp_path_factory: pytest.TempPathFactory, kind: str, writers: list[list[list[str]]]
) -> None:
    home = f"memory://{uuid4().hex}" if kind == "memory" else str(tmp_path_factory.mktemp("rows"))
    folder = open_location(home)
    errors: list[Exception] = []

    def write(number: int, layout: list[list[str]]) -> None:
        for part, keys in enumerate(layout):
            RowStore(folder, SCHEMA).append(frame(keys, 100 * number + 10 * part))

    def merge() -> None:
        try:
            while not ended.is_set():
                RowStore(folder, SCHEMA).compact()
        except Exception as error:
            errors.append(error)

    ended = threading.Event()
    threads = [threading.Thread(target=write, args=each) for each in enumerate(writers)]
    merging = threading.Thread(target=merge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FEWEST_PARTS", 2)
        patch.setattr(parts, "SMALL_PART", SMALL)
        patch.setattr("storage.row_store._PAUSES", (0.001,) * 1000)
        for thread in (*threads, merging):
            thread.start()
        seen: dict[str, int] = {}
        while any(thread.is_alive() for thread in threads):
            found = stored(RowStore(folder, SCHEMA))
            assert seen.keys() <= found.keys()
            seen = found
        ended.set()
        merging.join()
        assert errors == []
        written = {key for layout in writers for keys in layout for key in keys}
        before = stored(RowStore(folder, SCHEMA))
        assert before.keys() == written
        RowStore(folder, SCHEMA).compact()
    assert stored(RowStore(folder, SCHEMA)) == before
    assert len(RowStore(folder, SCHEMA).parts()) == 1


def test_nothing_is_deleted_if_the_merged_part_is_not_read_back(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(root / "rows", SCHEMA)
    store.append(frame(["a"]))
    store.append(frame(["b"]))
    before = store.parts()
    write: Any = type(store._files).write
    monkeypatch.setattr(
        type(store._files), "write", lambda files, part, content: write(files, part, content[:-9])
    )
    with pytest.raises(WorkspaceError, match="differs from the content"):
        store.compact()
    assert store.parts() == before
    assert sorted(store.keys()) == ["a", "b"]


def test_a_damaged_part_is_named_and_nothing_is_merged(root: Location) -> None:
    store = RowStore(root / "rows", SCHEMA)
    for key in "abc":
        store.append(frame([key]))
    before = store.parts()
    spoil(before[1], DAMAGES["has changed since it was written"])
    with pytest.raises(DamagedError, match=before[1].name):
        store.compact()
    assert store.parts() == before
    Workspace(root).quarantine(store.damage())
    assert store.compact() == 2
    assert stored(store) == {"a": 0, "c": 0}


def test_two_merges_at_once_lose_nothing(root: Location) -> None:
    for number in range(2):
        folder = root / f"rows {number}"
        writer = RowStore(folder, SCHEMA)
        for part in range(12):
            writer.append(frame([f"{part} {row}" for row in range(3)], 10 * part))
        expected = stored(writer)
        assert len(expected) == 36
        start, errors = threading.Barrier(3), []

        def merge(folder: Location, start: threading.Barrier, errors: list[Exception]) -> None:
            start.wait()
            try:
                RowStore(folder, SCHEMA).compact()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=merge, args=(folder, start, errors)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert list(stored(writer).items()) == list(expected.items())


MERGE = """
import sys
import polars as pl
from storage import parts
from storage.locations import open_location
from storage.row_store import RowStore

parts.FEWEST_PARTS = 4
store = RowStore(open_location(sys.argv[1]), pl.Schema({"key": pl.String, "value": pl.Int64}))
appends = int(sys.argv[2])
for number in range(appends):
    keys = [f"{number} {row}" for row in range(10)]
    store.append(pl.DataFrame({"key": keys, "value": [number] * 10}))
    store.compact()
    if number in (appends // 3, 2 * appends // 3):
        # Until the reader has read once more.
        sys.stdin.readline()
"""
#: A merge of four parts that stops at one moment, says so, and waits to be killed.
MERGE_AND_WAIT = """
import itertools, os, sys, time
from pathlib import Path
import polars as pl
from storage import parts
from storage.local_files import LocalFiles
from storage.row_store import RowStore

moment = sys.argv[2]
store = RowStore(Path(sys.argv[1]), pl.Schema({"key": pl.String, "value": pl.Int64}))
for number in range(4):
    keys = [f"{number} {row}" for row in range(10)]
    store.append(pl.DataFrame({"key": keys, "value": [number] * 10}))

def wait_at(here):
    if here == moment:
        print(here, flush=True)
        time.sleep(600)

fsync, delete, deletes = os.fsync, LocalFiles.delete, itertools.count()

def wait_and_fsync(file):
    wait_at("written")
    fsync(file)

def wait_and_delete(files, location, first=""):
    number = next(deletes)
    if moment == f"deleted {number}":
        # Let the deletes that other threads began come to their end.
        while len(store.parts()) > 5 - number:
            time.sleep(0.001)
    wait_at(f"deleted {number}")
    if moment.startswith("deleted") and number > int(moment.split()[1]):
        time.sleep(600)
    delete(files, location, first)

os.fsync, LocalFiles.delete = wait_and_fsync, wait_and_delete
parts.FEWEST_PARTS = 2
store.compact()
"""


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.fixture(params=["local", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that other processes can reach, of each kind."""
    s3: str = request.getfixturevalue("s3") if request.param == "s3" else ""
    return s3 or str(tmp_path)


def test_a_reader_beside_merges_sees_every_row_once(shared: str) -> None:
    appends = 30
    schema = pl.Schema({"key": pl.String, "value": pl.Int64})
    store = RowStore(open_location(shared), schema)
    seen: set[str] = set()
    reads = 0
    with python(MERGE, shared, appends) as writer:
        assert writer.stdin is not None
        while writer.poll() is None:
            keys = store.keys().to_list()
            assert len(keys) == len(set(keys))
            assert len(keys) % 10 == 0
            assert seen <= set(keys)
            seen = set(keys)
            rows = store.scan().collect()
            assert seen <= set(rows["key"])
            assert rows["key"].is_unique().all()
            chunks = [chunk["key"] for chunk in store.chunks(store.keys(), parts=3)]
            merged = pl.concat(chunks).to_list() if chunks else []
            assert seen <= set(merged)
            assert len(merged) == len(set(merged))
            if 0 < len(seen) < 10 * appends:
                reads += 1
                # The writer does not end before it has been told of two reads.
                if reads <= 2:
                    writer.stdin.write("read\n")
                    writer.stdin.flush()
        assert writer.stdout is not None
        output = writer.stdout.read()
    assert writer.returncode == 0, output
    assert reads > 1, "nothing was read while the other process merged"
    assert store.keys().len() == 10 * appends
    assert len(store.parts()) < appends / 2


#: How many parts a killed merge of four leaves: the merged one has its name before any is deleted.
LEFT = {"written": 4, "deleted 0": 5, "deleted 1": 4, "deleted 3": 2}


@pytest.mark.parametrize("moment", LEFT)
def test_a_process_killed_while_it_merges_loses_nothing(moment: str, tmp_path: Path) -> None:
    store = RowStore(tmp_path, pl.Schema({"key": pl.String, "value": pl.Int64}))
    with python(MERGE_AND_WAIT, tmp_path, moment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == f"{moment}\n"
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
    assert len(store.parts()) == LEFT[moment]
    expected = [(f"{number} {row}", number) for number in range(4) for row in range(10)]
    assert store.scan().collect().rows() == expected
    assert store.damage() == {}
    store.compact()
    assert len(store.parts()) == 1
    assert store.scan().collect().rows() == expected


def test_a_run_merges_the_small_parts_of_its_rows(
    home: Path, small_model: Path, plain_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SMALL_PART", 1 << 22)
    workspace = Workspace(open_location(str(home)))
    store = workspace.spectra("small", "mini_obscure")
    for key in ("one", "two", "three"):
        store.append(pl.DataFrame([{"key": key, "matrices": []}], schema=SPECTRA_SCHEMA))
    study = study_of(small_model, "mini_obscure")
    runner = Runner(workspace, study, Accelerator())
    computed = runner.bring_up_to_date()["gradient_spectra"].computed
    assert not runner.failures
    assert len(store.parts()) == 1
    assert store.keys().len() == 3 + computed
    again = Runner(workspace, study, Accelerator()).bring_up_to_date()
    assert {count.computed for count in again.values()} == {0}
