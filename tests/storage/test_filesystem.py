"""Tables and row stores keep their promises in a folder, in memory and in an object store."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import WorkspaceError
from storage.locations import filesystem_of, open_location
from storage.object_reads import TAIL_BYTES
from storage.row_store import RowStore
from storage.tables import Table

if TYPE_CHECKING:
    from storage.filesystem import Location

SCHEMA = pl.Schema({"key": pl.String, "value": pl.Int64})
FRAME = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "ü"], "c": [[0.5], [], None]})


def rows(*keys: str, value: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"key": keys, "value": [value] * len(keys)}, schema=SCHEMA)


def spoil(place: "Location", content: bytes) -> None:
    filesystem_of(place).write(place, content)


def test_a_table_is_read_back_with_its_notes_and_replaced(root: "Location") -> None:
    table = Table(root / "deep" / "t.parquet")
    assert table.notes() is None
    with pytest.raises(WorkspaceError, match=r"t\.parquet is missing"):
        table.read()
    notes = table.write(FRAME, "v1")
    assert table.notes() == notes
    assert_frame_equal(table.read(), FRAME)
    old = table.scan()
    table.write(FRAME.clear(), "v2")
    assert table.is_current("v2")
    assert table.read().equals(FRAME.clear())
    assert_frame_equal(old.collect(), FRAME)


@pytest.mark.parametrize("left", [0, 1, 4, 11, 70_000, -1, -4])
def test_a_table_cut_short_is_no_table(root: "Location", left: int) -> None:
    table = Table(root / "t.parquet")
    table.write(pl.DataFrame({"a": np.random.default_rng(0).random(50_000)}), "v1")
    whole = filesystem_of(table.path).read(table.path)
    assert whole is not None
    spoil(table.path, whole[:left])
    assert table.notes() is None
    with pytest.raises(WorkspaceError, match="is empty|is truncated|is not a table"):
        table.read()


def test_notes_are_found_behind_a_footer_of_any_length(root: "Location") -> None:
    wide = pl.DataFrame({f"{'a long name ' * 20}{column}": [column] for column in range(400)})
    table = Table(root / "t.parquet")
    notes = table.write(wide, "v1")
    content = filesystem_of(table.path).read(table.path)
    assert content is not None
    assert int.from_bytes(content[-8:-4], "little") > TAIL_BYTES
    assert table.notes() == notes


def test_a_row_store_keeps_each_key_once_the_oldest_first(root: "Location") -> None:
    store = RowStore(root / "rows", SCHEMA)
    assert (store.parts(), store.bytes(), store.keys().to_list()) == ([], 0, [])
    assert store.scan().collect().equals(rows())
    store.append(rows("a", "b"))
    store.append(rows("b", "c", "c", value=1))
    store.append(rows())
    assert store.scan().collect().rows() == [("a", 0), ("b", 0), ("c", 1)]
    assert sorted(store.keys()) == ["a", "b", "c"]
    assert store.missing(["z", "a", "z"]) == ["z"]
    assert store.scan(pl.Series(["c", "nowhere"])).collect().rows() == [("c", 1)]
    assert store.scan(pl.Series(["c"])).select("value").collect().rows() == [(1,)]
    assert store.scan().head(2).collect().height == 2
    chunks = list(store.chunks(pl.Series(["a", "b", "c"]), parts=1))
    assert [chunk["key"].to_list() for chunk in chunks] == [["a", "b"], ["c"]]
    contents = [filesystem_of(part).read(part) for part in store.parts()]
    assert store.bytes() == sum(len(content) for content in contents if content)
    assert [part.name for part in store.parts()] == sorted(part.name for part in store.parts())


def test_other_files_beside_the_parts_are_not_read(root: "Location") -> None:
    store = RowStore(root / "rows", SCHEMA)
    store.append(rows("a"))
    spoil(store.folder / "part-1.parquet.tmp", b"half")
    spoil(store.folder / "below" / "part-1.parquet", b"half")
    assert store.keys().to_list() == ["a"]


APPEND = """
import sys
import polars as pl
from storage.locations import filesystem_of, open_location
from storage.row_store import RowStore
from storage.tables import Table

url, name, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = RowStore(open_location(url) / "rows", pl.Schema({"key": pl.String, "value": pl.Int64}))
table = Table(open_location(url) / "t.parquet")
for number in range(count):
    keys = pl.int_range(size, eager=True).hash(seed=number).cast(pl.String)
    part = pl.DataFrame({"key": name + " " + keys, "value": [number] * size})
    store.append(part)
    table.write(part, name)
"""


def writing(url: str, name: str, count: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPEND, url, name, str(count), str(size)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def test_two_processes_write_at_once_and_a_reader_sees_only_whole_parts_and_tables(s3: str) -> None:
    parts, size = 12, 50
    store = RowStore(open_location(s3) / "rows", SCHEMA)
    table = Table(open_location(s3) / "t.parquet")
    assert store.parts() == []
    seen: set[str] = set()
    reads = 0
    with writing(s3, "one", parts, size) as one, writing(s3, "two", parts, size) as two:
        while one.poll() is None or two.poll() is None:
            keys = set(store.keys())
            assert seen <= keys
            assert len(keys) % size == 0
            seen = keys
            if table.notes() is not None:
                frame = table.read()
                assert frame.height == size
                assert frame["value"].n_unique() == 1
            reads += 0 < len(seen) < 2 * parts * size
    assert (one.returncode, two.returncode) == (0, 0)
    assert reads > 0, "nothing was read while the others wrote"
    assert store.keys().len() == 2 * parts * size
    assert len(store.parts()) == 2 * parts


@contextmanager
def stalling(url: str, after: int) -> Iterator[tuple[str, threading.Event]]:
    """A server before the one at ``url`` that passes on ``after`` bytes of a connection.

    The event is set when it stops passing bytes on.
    """
    held, ended = threading.Event(), threading.Event()
    host = urlsplit(url).hostname, urlsplit(url).port
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket, limit: float) -> None:
        # Either way may be the first to close both ends.
        with suppress(OSError), source, target:
            while data := source.recv(1 << 14):
                limit -= len(data)
                if limit < 0:
                    held.set()
                    ended.wait(300)
                    return
                target.sendall(data)

    def serve() -> None:
        while not ended.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(host)
            for way in ((client, server, after), (server, client, float("inf"))):
                threading.Thread(target=pass_on, args=way, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", held
    finally:
        ended.set()
        listener.close()


def test_a_writer_killed_in_mid_upload_leaves_nothing(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(open_location(s3) / "rows", SCHEMA)
    store.append(rows("before"))
    with stalling(s3_server, after=200_000) as (endpoint, held):
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            writer = writing(s3, "killed", 1, 100_000)
        with writer:
            assert held.wait(300), "the upload never got so far"
            assert writer.poll() is None
            writer.kill()
    assert store.keys().to_list() == ["before"]
    assert len(store.parts()) == 1
    store.append(rows("after"))
    assert sorted(store.keys()) == ["after", "before"]
