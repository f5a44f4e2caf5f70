"""Damaged files: named, set aside, computed again; everything else stays as it was."""

import io
import shutil
from pathlib import Path

import polars as pl
import pytest

from storage.checksums import sealed_parquet
from storage.filesystem import ASIDE
from storage.integrity import find_faults
from storage.workspace import Workspace
from tests.faults.conftest import Bench
from tests.faults.tables import workspace_at
from tests.storage.conftest import DAMAGES, spoil

CELL = ("small", "mini_maths")


def files_of(workspace: Workspace) -> dict[str, Path]:
    """One file of each kind, and three parts of rows."""
    parts = dict(enumerate(workspace.spectra(*CELL).parts()))
    places = {
        "items": workspace.items(CELL[1]).path,
        "responses": workspace.responses(CELL[1]).path,
        "quality": workspace.quality(CELL[1]).path,
        "index": workspace.spectra_index(*CELL).path,
        "statistics": workspace.statistics(*CELL).path,
        "alignments": workspace.alignments(*CELL).path,
        "report notes": workspace.report_notes().path,
        **{f"part {number}": parts[number] for number in (0, 3, 5)},
    }
    return {name: Path(str(place)) for name, place in places.items()}


def set_aside_in(workspace: Path) -> list[str]:
    return sorted(path.name for path in workspace.rglob(f"*{ASIDE}"))


def test_a_run_mends_what_it_finds_damaged_and_computes_no_other_row(
    bench: Bench, workspace: Path
) -> None:
    bench.before("spectral_statistics", workspace)
    files = files_of(workspace_at(workspace))
    for name, damage in {
        "items": "has changed since it was written",
        "responses": "is truncated",
        "quality": "is empty",
        "index": "has changed since it was written",
        "part 0": "is truncated",
        "part 3": "has changed since it was written",
        "part 5": "is empty",
    }.items():
        spoil(files[name], DAMAGES[damage])
    ended = bench.finish(workspace)
    assert ended.counts["gradient_spectra"]["computed"] == 3
    for name in ("items", "responses", "index", "part 0", "part 3", "part 5"):
        assert any(aside.startswith(files[name].name) for aside in set_aside_in(workspace)), name
    assert (
        f"{files['part 0']} is truncated or not a Parquet file, and 2 more are damaged"
        in ended.errors
    )
    assert find_faults(workspace_at(workspace)) == []
    again = bench.finish(workspace)
    assert {stage["computed"] for stage in again.counts.values()} == {0}


@pytest.mark.slow
def test_a_report_whose_tables_are_damaged_has_them_made_again(
    bench: Bench, workspace: Path
) -> None:
    bench.before("report", workspace)
    files = files_of(workspace_at(workspace))
    spoil(files["statistics"], DAMAGES["has changed since it was written"])
    files["alignments"].unlink()
    other = workspace_at(workspace).alignments("small", "mini_obscure").path
    spoil(other, DAMAGES["is truncated"])
    ended = bench.finish(workspace)
    assert ended.counts["gradient_spectra"]["computed"] == 0
    assert ended.counts["spectral_statistics"]["computed"] == 2


#: The stage that reads a file next.
READERS = {
    "items": "responses",
    "responses": "gradient_spectra",
    "quality": "report",
    "index": "spectral_statistics",
    "statistics": "report",
    "alignments": "report",
    "part 0": "spectral_statistics",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
@pytest.mark.parametrize("name", READERS)
def test_any_file_that_is_damaged_or_gone_is_made_again(
    bench: Bench, workspace: Path, name: str, damage: str
) -> None:
    bench.before(READERS[name], workspace)
    file = files_of(workspace_at(bench.workspace))[name]
    file = workspace / file.relative_to(bench.workspace)
    if damage == "gone":
        file.unlink()
    else:
        spoil(file, DAMAGES[damage])
    bench.finish(workspace)
    assert find_faults(workspace_at(workspace)) == []
    # Of a part that is gone it is the index that is not as it should be.
    assert len(set_aside_in(workspace)) == (damage != "gone" or name == "part 0")


def unsealed(path: Path) -> None:
    """The file as it was written before there were seals."""
    metadata = {
        name: value
        for name, value in pl.read_parquet_metadata(path).items()
        if not name.startswith(("gradpipe.seal", "ARROW"))
    }
    buffer = io.BytesIO()
    pl.read_parquet(path).write_parquet(buffer, metadata=metadata)
    path.write_bytes(buffer.getvalue())


def sealed_as_a_whole(path: Path) -> None:
    """A part as it was written before its columns had checksums, by Polars."""
    path.write_bytes(sealed_parquet(pl.read_parquet(path)))


def test_parts_of_before_their_columns_had_checksums_are_not_computed_again(
    bench: Bench, workspace: Path
) -> None:
    shutil.copytree(bench.workspace, workspace)
    parts = workspace_at(workspace).spectra(*CELL).parts()
    for part in parts:
        sealed_as_a_whole(Path(str(part)))
    before = {str(part): Path(str(part)).read_bytes() for part in parts}
    assert find_faults(workspace_at(workspace)) == []
    ended = bench.finish(workspace)
    assert {stage["computed"] for stage in ended.counts.values()} == {0}
    assert {path: Path(path).read_bytes() for path in before} == before
    workspace_at(workspace).statistics(*CELL).path.unlink()
    ended = bench.finish(workspace)
    assert ended.counts["gradient_spectra"]["computed"] == 0


def test_a_workspace_of_before_there_were_seals_costs_nothing_and_its_damage_is_found(
    bench: Bench, workspace: Path
) -> None:
    shutil.copytree(bench.workspace, workspace)
    for path in workspace.rglob("*.parquet"):
        unsealed(path)
    assert find_faults(workspace_at(workspace)) == []
    ended = bench.finish(workspace)
    assert {stage["computed"] for stage in ended.counts.values()} == {0}
    part = files_of(workspace_at(workspace))["part 0"]
    spoil(part, DAMAGES["is truncated"])
    assert [fault.place for fault in find_faults(workspace_at(workspace))][:1] == [part]
