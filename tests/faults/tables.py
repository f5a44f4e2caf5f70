"""Every table of a workspace, and whether two workspaces hold the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.testing import assert_frame_equal

from gradpipe.gradients.rows import explode_matrices
from storage.locations import filesystem_of, open_location
from storage.row_store import RowStore
from storage.workspace import Workspace
from tests.gradients.conftest import assert_same_gradients

if TYPE_CHECKING:
    from storage.filesystem import Location

#: What a stop may change: how long things took, and when they happened.
PASSING = ("seconds", "created")

Tables = dict[str, pl.DataFrame]


def tables_of(workspace: Workspace) -> Tables:
    """The tables of a workspace that is up to date, by name; rows of stores in the order of keys.

    Raises GradpipeError where one is missing or broken.
    """
    study = workspace.study()
    found = {"report_notes": workspace.report_notes().read()}
    for entry in study.benchmarks:
        found[f"items {entry.name}"] = workspace.items(entry.name).read()
        found[f"responses {entry.name}"] = workspace.responses(entry.name).read()
        found[f"quality {entry.name}"] = workspace.quality(entry.name).read()
    for model, benchmark in sorted(study.grid()):
        cell = f"{model} × {benchmark}"
        found[f"spectra {cell}"] = _rows(workspace.spectra(model, benchmark))
        found[f"index {cell}"] = workspace.spectra_index(model, benchmark).read()
        found[f"statistics {cell}"] = workspace.statistics(model, benchmark).read()
        found[f"alignments {cell}"] = workspace.alignments(model, benchmark).read()
        found[f"sets {cell}"] = workspace.example_sets(model, benchmark).read()
    if study.generator.model is not None:
        found["generations"] = _rows(workspace.generations(str(study.generator.model)))
    if isinstance(workspace.report_folder, Path):
        for file in sorted((workspace.report_folder / "tables").glob("*.csv")):
            found[f"report {file.name}"] = pl.read_csv(file.read_bytes(), infer_schema_length=None)
    return found


def _rows(store: RowStore) -> pl.DataFrame:
    """Every row of a store; in chunks, which look whether each part is as it was written."""
    return pl.concat([store.schema.to_frame(), *store.chunks(store.keys())]).sort("key")


def assert_same(found: Tables, expected: Tables, rounding: float = 1e-4) -> None:
    """The same tables, row for row, but for what a stop may change.

    Numbers agree to ``rounding``: which rows share a batch with which decides the order of
    additions.
    """
    assert sorted(found) == sorted(expected)
    for name, frame in expected.items():
        pair = [each.drop(PASSING, strict=False) for each in (found[name], frame)]
        try:
            if name.startswith("spectra "):
                gradients = [explode_matrices(each.lazy()).collect() for each in pair]
                assert_same_gradients(gradients[0], gradients[1], rounding)
                pair = [each.drop("matrices") for each in pair]
            # The smallest numbers are sums of which nearly nothing is left; a cosine, which is at
            # most one, may be of two sketches that are rounded otherwise.
            least = rounding if "alignment" in name else rounding / 10
            assert_frame_equal(*pair, rel_tol=rounding, abs_tol=least)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def raw_keys(workspace: Workspace) -> dict[str, list[str]]:
    """The keys in the raw parts of every row store, repetitions included."""
    stores = {
        f"spectra {model} × {benchmark}": workspace.spectra(model, benchmark)
        for model, benchmark in sorted(workspace.study().grid())
    }
    if (writer := workspace.study().generator.model) is not None:
        stores["generations"] = workspace.generations(str(writer))
    return {
        name: [key for part in store.parts() for key in _keys(part)]
        for name, store in stores.items()
    }


def _keys(part: Location) -> list[str]:
    content = filesystem_of(part).read(part) or b""
    return pl.read_parquet(content, columns=["key"])["key"].to_list()


def assert_nothing_twice(workspace: Workspace) -> None:
    """No key is in the raw parts twice."""
    for name, keys in raw_keys(workspace).items():
        assert len(keys) == len(set(keys)), f"{name}: {len(keys) - len(set(keys))} rows twice"


def workspace_at(folder: Path | str) -> Workspace:
    """The workspace in a folder or behind a URL."""
    return Workspace(open_location(str(folder)))
