"""The row store against plain dictionaries, and against real processes that write and die."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.local_files import LocalFiles
from storage.row_store import RowStore
from storage.workspace import SPECTRA_SCHEMA

SCHEMA = pl.Schema({"key": pl.String, "value": pl.Int64})
#: Parts, each the keys of its rows in order; small alphabets so that keys repeat within and across.
LAYOUTS = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), max_size=6)


def frame(keys: list[str], first_value: int = 0) -> pl.DataFrame:
    values = range(first_value, first_value + len(keys))
    return pl.DataFrame({"key": keys, "value": values}, schema=SCHEMA)


def fill(folder: Path, layout: list[list[str]]) -> tuple[RowStore, dict[str, int]]:
    """A store with one part a list of keys, and its twin: the first value given to each key."""
    store = RowStore(folder, SCHEMA)
    twin: dict[str, int] = {}
    for number, keys in enumerate(layout):
        part = frame(keys, first_value=100 * number)
        store.append(part)
        for key, value in part.iter_rows():
            twin.setdefault(key, value)
    return store, twin


@contextmanager
def python(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python process, killed at the end of the block where it is still there."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "rows", SCHEMA)
    store.append(frame(["a", "b"]))
    store.append(frame(["c"], first_value=7))
    assert store.scan().collect().rows() == [("a", 0), ("b", 1), ("c", 7)]
    assert sorted(store.keys()) == ["a", "b", "c"]


def test_a_store_that_was_never_written_is_empty(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "rows", SPECTRA_SCHEMA)
    assert store.parts() == []
    assert store.keys().to_list() == []
    assert store.missing(["b", "a"]) == ["b", "a"]
    assert store.scan().collect_schema() == SPECTRA_SCHEMA
    assert store.scan(pl.Series(["a"])).collect().height == 0
    assert list(store.chunks(pl.Series(["a"]))) == []


def test_appending_no_rows_writes_no_part(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "rows", SCHEMA)
    store.append(frame([]))
    assert not store.folder.exists()


def test_a_key_in_two_parts_is_read_once_from_the_older(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a", "b"], ["b", "c"]])
    assert store.scan().collect().rows() == [("a", 0), ("b", 1), ("c", 101)]
    assert sorted(store.keys()) == ["a", "b", "c"]


def test_a_key_twice_in_one_part_is_read_once(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a", "b", "a"]])
    assert store.scan().collect().rows() == [("a", 0), ("b", 1)]
    assert sorted(store.keys()) == ["a", "b"]
    assert [chunk.rows() for chunk in store.chunks(pl.Series(["a"]))] == [[("a", 0)]]


def test_discarded_rows_are_gone_and_the_others_stay_where_they_were(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a", "b"], ["c"], ["d", "b"]])
    untouched = store.parts()[1]
    assert store.discard(pl.col("value").is_in([1, 201])) == 2
    assert store.discard(pl.lit(value=None, dtype=pl.Boolean)) == 0
    assert sorted(store.scan().collect().rows()) == [("a", 0), ("c", 100), ("d", 200)]
    assert untouched in store.parts()
    assert store.discard(pl.col("key") == "c") == 1
    assert not untouched.exists()


def test_a_removal_that_is_stopped_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = fill(tmp_path, [["a", "b"]])
    monkeypatch.setattr(LocalFiles, "delete", lambda _files, _part: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.discard(pl.col("key") == "b")
    assert set(store.keys()) == {"a", "b"}


def test_missing_keys_come_in_the_order_asked_each_once(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a", "c"]])
    assert store.missing(["z", "a", "y", "z", "c", "b", "y"]) == ["z", "y", "b"]
    assert store.missing(pl.Series(["q", "a"])) == ["q"]
    assert store.missing([]) == []


def test_a_scan_with_keys_gives_those_that_are_there(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a", "b"], ["c", "a"]])
    wanted = pl.Series(["c", "a", "nowhere", "a"])
    assert store.scan(wanted).collect().rows() == [("a", 0), ("c", 100)]
    assert store.scan(pl.Series([], dtype=pl.String)).collect().height == 0


@settings(max_examples=40, deadline=None)
@given(
    layout=LAYOUTS,
    wanted=st.lists(st.sampled_from("abcdefghij"), max_size=12),
    parts=st.integers(1, 4),
)
def test_chunks_and_scans_equal_a_dictionary(
    layout: list[list[str]], wanted: list[str], parts: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, twin = fill(Path(folder), layout)
        keys = pl.Series("key", wanted, dtype=pl.String)
        chunks = list(store.chunks(keys, parts))
        rows = [row for chunk in chunks for row in chunk.iter_rows()]
        assert all(chunk.height for chunk in chunks)
        assert len(rows) == len({key for key, _ in rows})
        assert dict(rows) == {key: twin[key] for key in wanted if key in twin}
        assert store.scan(keys).collect().rows() == rows
        assert store.scan().collect().rows() == list(twin.items())
        assert store.missing(wanted) == [key for key in dict.fromkeys(wanted) if key not in twin]


def test_rows_are_kept_in_the_order_and_types_of_the_schema(tmp_path: Path) -> None:
    store = RowStore(tmp_path, SCHEMA)
    store.append(
        pl.DataFrame({"extra": [True], "value": [3], "key": ["a"]}).cast({"value": pl.Int8})
    )
    assert pl.read_parquet(store.parts()[0]).schema == SCHEMA
    assert store.scan().collect().schema == SCHEMA


def test_nested_matrices_survive(tmp_path: Path) -> None:
    def matrix(layer: int, projection: str, values: list[float]) -> dict[str, object]:
        return {
            "layer": layer,
            "projection": projection,
            "frobenius_norm": 2.5,
            "singular_values": values,
        }

    usable = {
        "key": "a",
        "loss": 1.5,
        "tokens": 9,
        "response_tokens": 4,
        "truncated": False,
        "reason": None,
        "seconds": 0.25,
        "matrices": [matrix(0, "q", [2.0, 1.5, 0.0]), matrix(1, "o", []), matrix(1, "k", [0.1])],
    }
    unusable = {**usable, "key": "b", "loss": None, "reason": "too long", "matrices": []}
    rows = pl.DataFrame([usable, unusable], schema=SPECTRA_SCHEMA)
    store = RowStore(tmp_path, SPECTRA_SCHEMA)
    store.append(rows.select(reversed(list(SPECTRA_SCHEMA))))
    read = store.scan().collect()
    assert read.schema == SPECTRA_SCHEMA
    assert read.equals(rows, null_equal=True)
    assert pl.concat(store.chunks(pl.Series(["b", "a"]))).equals(rows, null_equal=True)


def test_stray_temporary_files_are_not_read(tmp_path: Path) -> None:
    store, _ = fill(tmp_path, [["a"]])
    part = store.parts()[0]
    whole = part.read_bytes()
    (tmp_path / f".{part.name}.1.cafe.tmp").write_bytes(whole[: len(whole) // 2])
    (tmp_path / f"{part.name}.tmp").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    assert store.parts() == [part]
    assert store.scan().collect().rows() == [("a", 0)]
    assert store.keys().to_list() == ["a"]


@pytest.mark.parametrize("name", ["runs[1]", "a*b", "what?", "{x}", "50%25", "ünï cöde", "a~b"])
def test_a_folder_of_any_name_can_hold_a_store(tmp_path: Path, name: str) -> None:
    # "runs[1]" as a pattern would match the folder "runs1" and not itself.
    neighbor, _ = fill(tmp_path / "runs1", [["theirs"]])
    store, _ = fill(tmp_path / name, [["mine"]])
    assert store.keys().to_list() == ["mine"]
    assert [chunk.rows() for chunk in store.chunks(pl.Series(["mine", "theirs"]))] == [
        [("mine", 0)]
    ]
    assert neighbor.keys().to_list() == ["theirs"]


APPEND = """
import sys
from pathlib import Path
import polars as pl
from storage.row_store import RowStore

store = RowStore(Path(sys.argv[1]), pl.Schema({"key": pl.String, "value": pl.Int64}))
for number in range(int(sys.argv[2])):
    keys = [f"{number} {row}" for row in range(int(sys.argv[3]))]
    store.append(pl.DataFrame({"key": keys, "value": [number] * len(keys)}))
    if number == int(sys.argv[4]):
        # Until the reader has read something.
        sys.stdin.readline()
"""


def test_every_read_is_whole_while_another_process_writes(tmp_path: Path) -> None:
    appends, rows = 200, 40
    store = RowStore(tmp_path, SCHEMA)
    seen: set[str] = set()
    reads = 0
    with python(APPEND, tmp_path, appends, rows, appends // 2) as writer:
        assert writer.stdin is not None
        while writer.poll() is None:
            keys = store.keys().to_list()
            assert len(keys) == len(set(keys))
            assert len(keys) % rows == 0
            assert seen <= set(keys)
            seen = set(keys)
            counts = store.scan().group_by("value").len().collect()
            assert counts["len"].unique().to_list() in ([], [rows])
            assert counts.height * rows >= len(seen)
            reads += 0 < len(seen) < appends * rows
            if reads == 1:
                writer.stdin.write("read\n")
                writer.stdin.flush()
        assert writer.returncode == 0, writer.stdout and writer.stdout.read()
    assert reads > 0, "nothing was read while the other process wrote"
    assert store.keys().len() == appends * rows


def test_processes_that_append_at_once_lose_nothing_and_equal_keys_are_read_once(
    tmp_path: Path,
) -> None:
    appends, rows = 30, 20
    with ExitStack() as stack:
        writers = [
            stack.enter_context(python(APPEND, tmp_path, appends, rows, -1)) for _ in range(3)
        ]
        for writer in writers:
            output, _ = writer.communicate(timeout=300)
            assert writer.returncode == 0, output
    store = RowStore(tmp_path, SCHEMA)
    assert len(store.parts()) == 3 * appends
    expected = {f"{number} {row}": number for number in range(appends) for row in range(rows)}
    assert dict(store.scan().collect().iter_rows()) == expected
    assert sum(chunk.height for chunk in store.chunks(store.keys(), parts=7)) == len(expected)


BIG_ROWS = 10_000
#: A writer that stops at one moment of one of its appends, says so, and waits to be killed.
APPEND_AND_WAIT = """
import io, os, sys, time
from pathlib import Path
import polars as pl
from storage.row_store import RowStore

folder, rows, moment, last = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
number = 0

def wait_at(here):
    if (here, number) == (moment, last):
        print(here, flush=True)
        time.sleep(600)

class Halves(io.BufferedWriter):
    def write(self, content):
        wait_at("empty")
        super().write(content[: len(content) // 2])
        self.flush()
        wait_at("half")
        return super().write(content[len(content) // 2 :])

real_open, real_fsync, real_replace = Path.open, os.fsync, Path.replace

def open_halves(path, mode="r", *more, **named):
    if mode == "wb":
        return Halves(io.FileIO(path, "wb"))
    return real_open(path, mode, *more, **named)

def fsync(file):
    wait_at("unsynced")
    real_fsync(file)

def replace(path, target):
    wait_at("unnamed")
    real_replace(path, target)
    wait_at("named")

Path.open, os.fsync, Path.replace = open_halves, fsync, replace
store = RowStore(folder, pl.Schema({"key": pl.String, "value": pl.Int64}))
values = pl.int_range(rows, eager=True).alias("value")
for number in range(last + 1):
    key = pl.format(f"{os.getpid()} {number} {{}}", values.hash()).alias("key")
    store.append(values.to_frame().with_columns(key))
"""


def test_a_writer_killed_in_mid_append_leaves_only_whole_parts(tmp_path: Path) -> None:
    store = RowStore(tmp_path, SCHEMA)
    strays: dict[str, list[int]] = {}
    parts = 0
    for moment in ("empty", "half", "unsynced", "unnamed", "named"):
        for appends in (0, 2):
            before = set(tmp_path.glob(".part-*"))
            with python(APPEND_AND_WAIT, tmp_path, BIG_ROWS, moment, appends) as writer:
                assert writer.stdout is not None
                assert writer.stdout.readline() == f"{moment}\n"
                writer.kill()
                assert writer.wait() == -signal.SIGKILL
            parts += appends + (moment == "named")
            assert len(store.parts()) == parts
            left = set(tmp_path.glob(".part-*")) - before
            strays.setdefault(moment, []).extend(file.stat().st_size for file in left)
    survivor = frame(["survivor"])
    store.append(survivor)
    *whole, last = store.parts()
    size = whole[0].stat().st_size
    assert strays["empty"] == [0, 0]
    assert all(0 < stray < 0.9 * size for stray in strays["half"])
    assert all(stray > 0.9 * size for name in ("unsynced", "unnamed") for stray in strays[name])
    assert {name: len(sizes) for name, sizes in strays.items()} == {
        **dict.fromkeys(("empty", "half", "unsynced", "unnamed"), 2),
        "named": 0,
    }
    assert [pl.read_parquet(part).shape for part in whole] == [(BIG_ROWS, 2)] * len(whole)
    assert pl.read_parquet(last).equals(survivor)
    assert store.keys().len() == len(whole) * BIG_ROWS + 1
