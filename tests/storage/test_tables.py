"""Tables: whole or not there, whoever writes, reads, fails or is cut short."""

import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from gradpipe.errors import WorkspaceError
from storage.tables import Notes, Table, content_of

FRAME = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "ü"], "c": [[0.5], [], None]})
BIG = pl.DataFrame({"a": range(50_000)})


def test_a_written_table_is_read_back_with_its_notes(tmp_path: Path) -> None:
    table = Table(tmp_path / "deep" / "below" / "t.parquet")
    notes = table.write(FRAME, "v1")
    assert notes == Notes("v1", content_of(FRAME), 3)
    assert table.notes() == table.require_notes() == notes
    assert table.read().equals(FRAME)
    assert table.scan().filter(pl.col("a") > 1).collect().equals(FRAME.filter(pl.col("a") > 1))


def test_a_deferred_table_is_read_when_the_query_runs(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    table.write(FRAME, "v1")
    deferred = table.deferred()
    assert deferred.collect().equals(FRAME)
    table.write(FRAME.reverse(), "v2")
    asked = deferred.filter(pl.col("a") > 1).select("b").head(1).collect()
    assert asked.equals(pl.DataFrame({"b": ["ü"]}))
    table.path.unlink()
    with pytest.raises(Exception, match="is missing"):
        deferred.collect()


def test_the_name_of_the_content_can_be_given(tmp_path: Path) -> None:
    assert Table(tmp_path / "t.parquet").write(FRAME, "v1", "known").data == "known"


def test_an_optional_column_without_values_leaves_the_file_as_it_always_was(
    tmp_path: Path,
) -> None:
    later = pl.Schema({"d": pl.String()})
    old, new = Table(tmp_path / "old.parquet"), Table(tmp_path / "new.parquet", later)
    empty = FRAME.with_columns(d=pl.lit(None, dtype=pl.String))
    assert old.write(FRAME, "v1") == new.write(empty, "v1")
    assert old.path.read_bytes() == new.path.read_bytes()
    for table in (new, Table(old.path, later)):
        assert table.read().equals(empty)
        assert table.deferred().select("d", "a").collect().equals(empty.select("d", "a"))


def test_an_optional_column_with_values_is_kept_and_stands_last(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet", pl.Schema({"d": pl.String()}))
    frame = FRAME.select(pl.Series("d", ["x", None, None]), "a")
    table.write(frame, "v1")
    assert table.read().equals(frame.select("a", "d"))


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    assert table.write(FRAME.clear(), "v1").rows == 0
    assert table.read().equals(FRAME.clear())


def test_a_table_is_current_for_just_its_own_version(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    assert not table.is_current("v1")
    table.write(FRAME, "v1")
    assert table.is_current("v1")
    assert not table.is_current("v2")
    assert not table.is_current("")


def test_writing_again_replaces_the_table_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    table.write(FRAME, "v1")
    old = table.scan()
    table.write(BIG, "v2")
    assert table.is_current("v2")
    assert table.read().equals(BIG)
    assert old.collect().equals(FRAME), "a scan that was begun sees the table it was begun on"
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_a_missing_table_has_no_notes_and_cannot_be_read(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    assert table.notes() is None
    for read in (table.read, table.scan, table.require_notes):
        with pytest.raises(WorkspaceError, match=r"t\.parquet is missing: run `gradpipe run`"):
            read()


@pytest.mark.parametrize("left", [0, 1, 4, 11, 0.5, -1, -4])
def test_a_table_that_was_cut_short_has_no_notes_and_cannot_be_read(
    tmp_path: Path, left: float
) -> None:
    table = Table(tmp_path / "t.parquet")
    table.write(BIG, "v1")
    whole = table.path.read_bytes()
    table.path.write_bytes(whole[: int(left * len(whole)) if left == 0.5 else int(left)])
    assert table.notes() is None
    assert not table.is_current("v1")
    with pytest.raises(WorkspaceError, match="is empty|is truncated|is not a table"):
        table.read()


@pytest.mark.parametrize(
    "metadata",
    [None, {"gradpipe": "no json"}, {"gradpipe": "[1]"}, {"gradpipe": '{"version": "v1"}'}],
)
def test_a_table_of_another_hand_has_no_notes(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    table = Table(tmp_path / "t.parquet")
    FRAME.write_parquet(table.path, metadata=metadata)
    assert table.notes() is None
    with pytest.raises(WorkspaceError, match="is empty|is truncated|is not a table"):
        table.read()


def test_a_table_damaged_in_its_data_is_said_to_be_so(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    table.write(BIG, "v1")
    damaged = bytearray(table.path.read_bytes())
    damaged[:200] = bytes(200)
    table.path.write_bytes(damaged)
    with pytest.raises(WorkspaceError, match=r"t\.parquet is truncated or not a Parquet"):
        table.read()


def test_a_folder_in_the_tables_place_is_no_table(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    table.path.mkdir()
    assert table.notes() is None
    with pytest.raises(WorkspaceError, match="cannot be written"):
        table.write(FRAME, "v1")
    assert os.listdir(tmp_path) == ["t.parquet"]


def test_equal_rows_have_equal_content() -> None:
    again = pl.concat([FRAME.head(1), FRAME.tail(2)], rechunk=False)
    assert content_of(again) == content_of(FRAME.clone())


@pytest.mark.parametrize(
    "changed",
    [
        FRAME.with_columns(a=pl.Series([1, 2, 4])),
        FRAME.with_columns(b=pl.Series(["x", "", "ü"])),
        FRAME.with_columns(c=pl.Series([[0.5], None, None])),
        FRAME.with_columns(c=pl.Series([[0.5 + 1e-15], [], None])),
        FRAME.rename({"a": "A"}),
        FRAME.reverse(),
        FRAME.head(2),
        FRAME.drop("c"),
    ],
)
def test_changed_rows_have_other_content(changed: pl.DataFrame) -> None:
    assert content_of(changed) != content_of(FRAME)


def test_a_table_below_a_file_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    # Not even root can write below a regular file.
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "t.parquet", tmp_path / "file" / "deep" / "t.parquet"):
        with pytest.raises(WorkspaceError, match=r"t\.parquet cannot be written \(.+\): check"):
            Table(path).write(FRAME, "v1")
        assert Table(path).notes() is None
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused_and_the_old_table_stays(tmp_path: Path) -> None:
    table = Table(tmp_path / "locked" / "t.parquet")
    table.write(FRAME, "v1")
    table.path.parent.chmod(0o500)
    try:
        with pytest.raises(WorkspaceError, match="Permission denied"):
            table.write(BIG, "v2")
        assert table.is_current("v1")
        assert os.listdir(table.path.parent) == ["t.parquet"]
    finally:
        table.path.parent.chmod(0o700)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from gradpipe.errors import WorkspaceError
from storage.tables import Table

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    Table(Path(sys.argv[1])).write(pl.DataFrame({"a": range(50_000)}), "v2")
except WorkspaceError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_leaves_the_old_table_and_nothing_half_written(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    table.write(FRAME, "v1")
    command = [sys.executable, "-c", FULL_DISK, str(table.path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{table.path} cannot be written" in done.stdout
    assert table.is_current("v1")
    assert os.listdir(tmp_path) == ["t.parquet"]


REPLACE = """
import sys
from pathlib import Path
import polars as pl
from storage.tables import Table

number = 0
while True:
    number += 1
    rows = 1 + number * 37 % 2000
    frame = pl.DataFrame({"number": [number] * rows, "text": ["x" * (number % 50)] * rows})
    Table(Path(sys.argv[1])).write(frame, str(number))
"""


def test_a_reader_sees_the_old_table_or_the_new_one_never_a_part_of_either(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.parquet")
    seen: set[int] = set()
    writer = subprocess.Popen([sys.executable, "-c", REPLACE, str(table.path)])
    try:
        deadline = time.monotonic() + 300
        while table.notes() is None:
            assert time.monotonic() < deadline, "the writer never wrote"
            time.sleep(0.01)
        end = time.monotonic() + 1.5
        while time.monotonic() < end or len(seen) < 2:
            assert time.monotonic() < deadline, "the table was never replaced between two reads"
            frame = table.read()
            number = int(frame["number"][0])
            assert frame.height == 1 + number * 37 % 2000
            assert frame["number"].n_unique() == frame["text"].n_unique() == 1
            assert table.notes() is not None
            seen.add(number)
    finally:
        writer.kill()
        writer.wait()
