"""The files of the stages: their paths are those of the workspace, and a path names its stage."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage.stages import (
    ITEMS_FILES,
    REPORT_FILES,
    RESPONSES_FILES,
    SPECTRA_FILES,
    STAGE_FILES,
    STATISTICS_FILES,
    Partition,
    StageFiles,
)
from storage.tables import Table
from storage.workspace import Workspace

if TYPE_CHECKING:
    from storage.filesystem import Place

WORKSPACE = Workspace(Path("workspace"))
CELL = Partition(model="org/model", benchmark="mine: a|b")
TABLES = {
    ITEMS_FILES: [WORKSPACE.items(CELL.benchmark)],
    RESPONSES_FILES: [WORKSPACE.responses(CELL.benchmark), WORKSPACE.quality(CELL.benchmark)],
    SPECTRA_FILES: [WORKSPACE.spectra_index(CELL.model, CELL.benchmark)],
    STATISTICS_FILES: [
        WORKSPACE.statistics(CELL.model, CELL.benchmark),
        WORKSPACE.alignments(CELL.model, CELL.benchmark),
        WORKSPACE.example_sets(CELL.model, CELL.benchmark),
    ],
    REPORT_FILES: [WORKSPACE.report_notes()],
}


def path_of(place: "Place") -> str:
    """A path relative to the workspace, with forward slashes."""
    return "/".join(place.parts[len(WORKSPACE.root.parts) :])


def test_every_stage_is_tested() -> None:
    assert tuple(TABLES) == STAGE_FILES


@pytest.mark.parametrize(("files", "tables"), TABLES.items())
def test_a_stages_tables_are_those_of_the_workspace(files: StageFiles, tables: list[Table]) -> None:
    partition = files.partition_of(CELL)
    assert files.table_of(WORKSPACE, partition).path == tables[0].path
    for table in tables:
        stored = files.match(path_of(table.path))
        assert stored
        assert (stored.stage, stored.partition, stored.schema) == (files.name, partition, None)


def test_parts_of_row_stores_have_their_schema() -> None:
    spectra = WORKSPACE.spectra(CELL.model, CELL.benchmark)
    part = (spectra.folder / "part-1.parquet").relative_to(WORKSPACE.root).as_posix()
    stored = SPECTRA_FILES.match(part)
    assert stored
    assert (stored.partition, stored.schema) == (
        CELL,
        SPECTRA_FILES.parts[next(iter(SPECTRA_FILES.parts))],
    )
    answers = RESPONSES_FILES.match("generations/writer/part-1.parquet")
    assert answers
    assert answers.partition == Partition()


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "notes.parquet",
        "responses/=ff.parquet",
        "responses/a/b.parquet",
        "gradient_spectra/mine.parquet",
        "gradient_spectra/m/b/rows/other.parquet",
        "deeper/report_notes.parquet",
        "report_notes.parquet.1.aside",
    ],
)
def test_other_files_belong_to_no_stage(path: str) -> None:
    assert not any(files.match(path) for files in STAGE_FILES)


def test_partitions_go_model_by_model() -> None:
    assert list(REPORT_FILES.partitions("ab", "xy")) == [Partition()]
    assert [cell.label for cell in ITEMS_FILES.partitions("ab", "xy")] == ["x", "y"]
    cells = [cell.label for cell in SPECTRA_FILES.partitions("ab", "xy")]
    assert cells == ["a × x", "a × y", "b × x", "b × y"]


def test_a_report_is_complete_with_its_page(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert SPECTRA_FILES.is_complete(workspace)
    assert not REPORT_FILES.is_complete(workspace)
    workspace.report_page.parent.mkdir()
    workspace.report_page.touch()
    assert REPORT_FILES.is_complete(workspace)


def test_the_bytes_of_a_partition_are_those_of_its_files_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for location in (
        workspace.spectra_index(CELL.model, CELL.benchmark).path,
        workspace.spectra(CELL.model, CELL.benchmark).folder / "part-1.parquet",
        workspace.spectra_index(CELL.model, "other").path,
    ):
        assert isinstance(location, Path)
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(b"x" * 10)
    assert SPECTRA_FILES.bytes_of(workspace, CELL) == 20
    assert STATISTICS_FILES.bytes_of(workspace, CELL) == 0
