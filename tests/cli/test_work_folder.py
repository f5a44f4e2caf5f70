"""The folder of kept rows: in the user's own folder, only what gradpipe wrote is deleted."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from gradpipe.cli.work_folder import WorkFolder, work_folder
from gradpipe.errors import GradpipeError

SCHEMA = pl.Schema({"key": pl.String()})
OWN_FILES = (
    "scores/grades.csv",
    "spectra/part-00000-of-00001.parquet",
    "sketches/000000000000/mine.txt",
    "data/notes/part-1.parquet",
)


def write(folder: Path, files: Sequence[str]) -> None:
    for name in files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")


def files_in(folder: Path) -> list[str]:
    return sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("own", OWN_FILES)
def test_the_users_own_files_in_a_named_folder_stay(own: str, fails: bool, tmp_path: Path) -> None:
    work = tmp_path / "res"
    write(work, [own])
    try:
        with work_folder(work, tmp_path / "out.jsonl") as kept:
            kept.segment("spectra", "000000000000", SCHEMA)
            if fails:
                raise GradpipeError("There is no model.")
    except GradpipeError:
        assert fails
    assert files_in(work) == [own]


def test_a_folder_in_which_nothing_was_kept_is_removed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with work_folder(work, tmp_path / "out.jsonl") as kept:
        kept.segment("scores", "000000000000", SCHEMA)
        (work / "scores/000000000007").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_kept_rows_of_a_named_folder_stay(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with work_folder(work, tmp_path / "out.jsonl") as kept:
        kept.segment("scores", "000000000000", SCHEMA).append(pl.DataFrame({"key": ["a"]}))
    assert [file.split("-")[0] for file in files_in(work)] == ["scores/000000000000/part"]
    assert WorkFolder(work).rows() == 1


def test_the_users_own_tables_are_not_kept_rows(tmp_path: Path) -> None:
    for name in ("spectra/part-00000-of-00001.parquet", "spectra/old/part-1.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / name)
    folder = WorkFolder(tmp_path)
    assert (folder.names("spectra"), folder.rows()) == ([], 0)
    assert not folder.in_use()
