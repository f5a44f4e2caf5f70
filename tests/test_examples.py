"""The notebooks run from top to bottom."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT, FirstRun

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


#: The most bytes of a notebook with its pictures.
LARGEST = 600_000
#: The least number of charts in the notebooks of the public API.
PICTURES = {"model-in-memory": 3, "workspace": 4}


def test_there_are_notebooks() -> None:
    assert {"model-in-memory", "workspace"} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in PICTURES else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs(
    path: Path, small_model: Path, first_run: FirstRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADPIPE_EXAMPLE_MODEL", str(small_model))
    monkeypatch.setenv("GRADPIPE_HOME", str(first_run.workspace))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    charts = charts_in(notebook, "text/html", "vega-embed")
    assert len(charts) >= PICTURES.get(path.stem, 0)
    # `make notebooks` records them, all or none.
    recorded = charts_in(nbformat.read(path, as_version=4), "image/svg+xml", "<svg")
    assert recorded in ([], charts)


def charts_in(notebook: nbformat.NotebookNode, kind: str, mark: str) -> list[str]:
    """The ids of the cells that show a chart: an output of a media type that has ``mark``."""
    return [
        cell.id
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if mark in output.get("data", {}).get(kind, "")
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_small_outputs(path: Path) -> None:
    """`make notebooks` records them, and the site shows them."""
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "stream"}
    assert [cell.id for cell in cells if cell.execution_count] == []
    assert path.stat().st_size < LARGEST
    assert str(ROOT) not in path.read_text("utf-8")
