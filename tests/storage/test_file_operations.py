"""The file operations mean the same in a folder, in memory and in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradpipe.errors import WorkspaceError
from storage.concurrency import MAX_REQUESTS, map_concurrently
from storage.filesystem import ASIDE
from storage.local_files import LocalFiles
from storage.locations import filesystem_of, local_folder_of, open_location
from storage.object_store import ObjectStore

if TYPE_CHECKING:
    from storage.filesystem import Location


def names_below(folder: Location) -> list[str]:
    above = len(folder.parts)
    return ["/".join(file.parts[above:]) for file in filesystem_of(folder).files_below(folder)]


def test_a_file_is_written_replaced_and_deleted(root: Location) -> None:
    files, file = filesystem_of(root), root / "a" / "b.txt"
    assert files.read(file) is None
    for content in (b"old", b"", b"new"):
        files.write(file, content)
        assert files.read(file) == content
    assert names_below(root) == ["a/b.txt"]
    for _ in range(2):
        files.delete(file)
        assert files.read(file) is None
    assert names_below(root / "nowhere") == []


def test_the_files_of_a_folder_are_listed_with_their_sizes(root: Location) -> None:
    files = filesystem_of(root)
    assert files.sizes(root / "nowhere", "*") == {}
    for size, name in enumerate(("c.txt", "a.txt", "a.csv", "below/d.txt", "[x].txt")):
        files.write(root / name, bytes(size))
    sizes = files.sizes(root, "*.txt")
    assert {file.name: size for file, size in sizes.items()} == {
        "a.txt": 1,
        "c.txt": 0,
        "[x].txt": 4,
    }
    assert [file.name for file in sizes] == sorted(file.name for file in sizes)
    assert names_below(root) == ["[x].txt", "a.csv", "a.txt", "below/d.txt", "c.txt"]


def test_a_folder_is_deleted_with_all_its_files_and_no_others(root: Location) -> None:
    files = filesystem_of(root)
    for name in ("x/index", "x/below/rows", "x[1]/index", "xy", "y/x"):
        files.write(root / name, b"1")
    files.delete(root / "x", first="index")
    assert names_below(root) == ["x[1]/index", "xy", "y/x"]
    files.delete(root / "nowhere", first="index")


def test_a_renamed_file_keeps_its_content_and_a_quarantined_one_has_a_new_name(
    root: Location,
) -> None:
    files = filesystem_of(root)
    files.write(root / "a", b"1")
    assert files.rename(root / "nowhere", "b") is None
    assert files.quarantine(root / "nowhere") is None
    assert files.rename(root / "a", "b") == root / "b"
    moved = [files.quarantine(root / "b")]
    files.write(root / "b", b"2")
    moved.append(files.quarantine(root / "b"))
    assert [files.read(file) for file in moved if file is not None] == [b"1", b"2"]
    assert all(file.name.startswith("b.") and file.name.endswith(ASIDE) for file in moved if file)
    assert names_below(root) == sorted(file.name for file in moved if file)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 70_000, b"\xff" * 70_000])
def test_the_end_of_a_file_that_is_not_parquet_is_read_too(root: Location, content: bytes) -> None:
    files = filesystem_of(root)
    assert files.read_footer(root / "f") is None
    files.write(root / "f", content)
    footer = files.read_footer(root / "f")
    assert footer is not None
    assert content.endswith(footer)


def test_a_filled_folder_replaces_the_files_of_its_subfolders(root: Location) -> None:
    files = filesystem_of(root)
    for text in ("old", "new"):
        with files.local_folder(root / "report", last="page") as folder:
            (folder / "charts").mkdir(parents=True, exist_ok=True)
            (folder / "charts" / "a").write_text(text)
            (folder / "page").write_text(text)
    assert names_below(root) == ["report/charts/a", "report/page"]
    assert files.read(root / "report" / "page") == b"new"


def test_only_a_local_location_has_a_local_path(root: Location) -> None:
    path = filesystem_of(root).local_path(root)
    assert path == (root if isinstance(root, Path) else None)


def test_each_location_has_the_filesystem_of_its_kind(tmp_path: Path) -> None:
    assert isinstance(filesystem_of(open_location(str(tmp_path))), LocalFiles)
    assert isinstance(filesystem_of(open_location(tmp_path.as_uri())), LocalFiles)
    assert isinstance(filesystem_of(open_location("memory://x")), ObjectStore)


def test_the_local_folder_of_a_location_is_found_without_creating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "a b"
    assert [local_folder_of(home) for home in ("a b", "~/a b", folder.as_uri())] == [folder] * 3
    assert local_folder_of("s3://bucket/x") is None
    assert not folder.exists()
    with pytest.raises(WorkspaceError, match="set GRADPIPE_HOME to a writable folder"):
        local_folder_of("~no-such-user-here/x")


def test_results_come_in_order_and_few_are_computed_ahead() -> None:
    started: list[int] = []

    def square(number: int) -> int:
        started.append(number)
        return number * number

    results = map_concurrently(square, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    results.close()
    assert len(started) <= MAX_REQUESTS + 3
    assert list(map_concurrently(square, range(100))) == [number**2 for number in range(100)]
    assert list(map_concurrently(square, [])) == []


def test_an_error_is_raised_where_its_item_stands() -> None:
    results = map_concurrently(lambda number: 12 // (2 - number), range(100))
    assert [next(results), next(results)] == [6, 12]
    with pytest.raises(ZeroDivisionError):
        next(results)
