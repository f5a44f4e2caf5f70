"""The integrity of a workspace: what is damaged is named, moved away, and brought back."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.errors import DamagedError
from gradpipe.generators.calls import CALL_SCHEMA
from storage.checksums import sealed_parquet
from storage.filesystem import ASIDE
from storage.integrity import bring_back, find_faults, set_faults_aside
from storage.locations import filesystem_of
from storage.parts import unique_part_name
from storage.row_store import RowStore
from storage.stages import SPECTRA_FILES
from storage.workspace import SPECTRA_SCHEMA, Workspace
from tests.storage.conftest import DAMAGES, spoil

if TYPE_CHECKING:
    from storage.filesystem import Location

MODEL, BENCHMARK = "org/model", "mine: a|b"


def filled(root: "Location") -> Workspace:
    """A workspace with one file of each kind, two parts of rows among them."""
    workspace = Workspace(root)
    frame = pl.DataFrame({"key": ["a", "b"]})
    for table in (
        workspace.items(BENCHMARK),
        workspace.responses(BENCHMARK),
        workspace.quality(BENCHMARK),
        workspace.spectra_index(MODEL, BENCHMARK),
        workspace.statistics(MODEL, BENCHMARK),
        workspace.alignments(MODEL, BENCHMARK),
        workspace.report_notes(),
    ):
        table.write(frame, "v")
    for key in ("a", "b"):
        row = pl.DataFrame([{"key": key, "matrices": []}], schema=SPECTRA_SCHEMA)
        workspace.spectra(MODEL, BENCHMARK).append(row)
    calls = pl.DataFrame([{"key": "c"}], schema=CALL_SCHEMA)
    workspace.generations("writer").append(calls)
    return workspace


def kept(workspace: Workspace) -> list["Location"]:
    return [
        place
        for place in workspace.files.files_below(workspace.root)
        if not place.name.endswith(ASIDE)
    ]


def test_a_whole_workspace_has_no_faults(root: "Location") -> None:
    assert find_faults(Workspace(root)) == []
    workspace = filled(root)
    assert len(kept(workspace)) == 10
    assert find_faults(workspace) == []
    assert set_faults_aside(workspace, []) == []


@pytest.mark.parametrize("reason", DAMAGES)
def test_every_damaged_file_is_named_with_what_it_is_of(root: "Location", reason: str) -> None:
    workspace = filled(root)
    for place in kept(workspace):
        spoil(place, DAMAGES[reason])
    faults = {fault.place: fault for fault in find_faults(workspace)}
    assert set(faults) == set(kept(workspace))
    for place, fault in faults.items():
        assert fault.reason.startswith(reason)
        assert str(fault).startswith(f"{place} {reason}")
        assert fault.model in {"", MODEL}
        assert fault.benchmark in {"", BENCHMARK}
    stages = {
        "items": workspace.items(BENCHMARK),
        "report": workspace.report_notes(),
        "gradient_spectra": workspace.spectra_index(MODEL, BENCHMARK),
    }
    assert faults[stages["items"].path].stage == "benchmark_items"
    assert faults[stages["report"].path].stage == "report"
    index = faults[stages["gradient_spectra"].path]
    assert (index.stage, index.model, index.benchmark) == ("gradient_spectra", MODEL, BENCHMARK)
    moved = set_faults_aside(workspace, list(faults.values()))
    assert moved
    assert all(place.name.endswith(ASIDE) for place in moved)
    assert kept(workspace) == []
    assert find_faults(workspace) == []


def test_good_rows_stay_and_the_index_that_vouched_for_the_lost_ones_goes(root: "Location") -> None:
    workspace = filled(root)
    store = workspace.spectra(MODEL, BENCHMARK)
    spoil(store.parts()[0], DAMAGES["is truncated"])
    for read in (store.keys, store.scan().collect, lambda: list(store.chunks(pl.Series(["b"])))):
        with pytest.raises(DamagedError, match="part-"):
            read()
    set_faults_aside(workspace, find_faults(workspace))
    assert store.keys().to_list() == ["b"]
    assert workspace.spectra_index(MODEL, BENCHMARK).notes() is None
    assert workspace.statistics(MODEL, BENCHMARK).notes() is not None


def test_a_workspace_of_before_there_were_such_tables_misses_none(root: "Location") -> None:
    workspace = filled(root)
    for table in (workspace.quality(BENCHMARK), workspace.alignments(MODEL, BENCHMARK)):
        table.path.unlink()
    assert find_faults(workspace) == []


def test_rows_and_tables_that_were_deleted_by_hand_are_missed(root: "Location") -> None:
    workspace = filled(root)
    for benchmark in (BENCHMARK, "other"):
        workspace.quality(benchmark).write(pl.DataFrame({"key": ["a"]}), "v")
        workspace.alignments(MODEL, benchmark).write(pl.DataFrame({"key": ["a"]}), "v")
        workspace.example_sets(MODEL, benchmark).write(pl.DataFrame({"key": ["a"]}), "v")
    for place in (
        workspace.spectra(MODEL, BENCHMARK).parts()[0],
        workspace.quality(BENCHMARK).path,
        workspace.alignments(MODEL, BENCHMARK).path,
        workspace.example_sets(MODEL, BENCHMARK).path,
    ):
        place.unlink()
    found = {fault.place: fault.reason for fault in find_faults(workspace)}
    assert found == {
        workspace.spectra_index(MODEL, BENCHMARK).path: ("names 1 rows that are not in the store"),
        workspace.quality(BENCHMARK).path: "is missing",
        workspace.alignments(MODEL, BENCHMARK).path: "is missing",
        workspace.example_sets(MODEL, BENCHMARK).path: "is missing",
    }
    set_faults_aside(workspace, find_faults(workspace))
    # The table that marks a stage as current is deleted too, so that the stage is recomputed.
    for table in (
        workspace.responses(BENCHMARK),
        workspace.statistics(MODEL, BENCHMARK),
        workspace.spectra_index(MODEL, BENCHMARK),
    ):
        assert table.notes() is None
    assert find_faults(workspace) == []


def test_a_part_of_a_newer_gradpipe_is_set_aside_and_comes_back_to_one_that_knows_it(
    root: "Location", monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled(root)
    rows = pl.DataFrame([{"key": "new", "matrices": []}], schema=SPECTRA_SCHEMA)
    newer = rows.with_columns(curvature=pl.lit(1.0))
    part = workspace.spectra(MODEL, BENCHMARK).folder / unique_part_name()
    filesystem_of(part).write(part, sealed_parquet(newer))
    (fault,) = find_faults(workspace)
    assert fault.place == part
    assert "columns that this version of gradpipe does not know (curvature)" in fault.reason
    set_faults_aside(workspace, [fault])
    assert bring_back(workspace) == []
    assert "new" not in workspace.spectra(MODEL, BENCHMARK).keys().to_list()
    known = pl.Schema({**SPECTRA_SCHEMA, "curvature": pl.Float64})
    files = replace(SPECTRA_FILES, parts=dict.fromkeys(SPECTRA_FILES.parts, known))
    monkeypatch.setattr("storage.integrity.STAGE_FILES", (files,))
    assert bring_back(workspace) == [part]
    assert "new" in RowStore(part.parent, known).keys().to_list()
    assert not [
        place for place in workspace.files.files_below(workspace.root) if place.name.endswith(ASIDE)
    ]


def test_files_that_are_not_gradpipes_are_left_alone(tmp_path: Path) -> None:
    workspace = filled(tmp_path)
    for name in ("notes.parquet", "gradient_spectra/mine.parquet", "responses/=ff.parquet", "x"):
        (tmp_path / name).write_bytes(b"mine")
    assert find_faults(workspace) == []


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    spoilt=st.sets(st.integers(0, 5), max_size=4),
    damage=st.sampled_from(sorted(DAMAGES)),
)
@settings(max_examples=30, deadline=None)
def test_what_is_not_damaged_is_read_as_before(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], spoilt: set[int], damage: str
) -> None:
    schema = pl.Schema({"key": pl.String, "value": pl.Int64})
    store = RowStore(tmp_path_factory.mktemp("rows"), schema)
    expected = []
    for number, size in enumerate(sizes):
        rows = pl.DataFrame({"key": [f"{number} {row}" for row in range(size)]})
        rows = rows.with_row_index("value").cast({"value": pl.Int64}).select(list(schema))
        store.append(rows)
        expected += [] if number in spoilt else [rows]
    parts = store.parts()
    for number in spoilt & set(range(len(sizes))):
        spoil(parts[number], DAMAGES[damage])
    assert set(store.damage()) == {part for n, part in enumerate(parts) if n in spoilt}
    Workspace(store.folder).quarantine(store.damage())
    whole = pl.concat([schema.to_frame(), *expected])
    assert store.scan().collect().equals(whole)
    assert pl.concat([schema.to_frame(), *store.chunks(whole["key"], 2)]).equals(whole)
