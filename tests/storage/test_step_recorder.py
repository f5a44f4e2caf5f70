"""Steps of a training in a workspace: their examples, and rows that are written once."""

from pathlib import Path

import polars as pl
import pytest

from gradpipe.errors import WorkspaceError
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.studies.study import Study
from storage.step_recorder import WorkspaceStepRecorder
from storage.workspace import Workspace
from tests.conftest import study_of


@pytest.fixture
def study(small_model: Path) -> Study:
    return study_of(small_model, "mini_maths", "mini_obscure", models=[])


def test_a_workspace_keeps_its_study(study: Study, home: Path) -> None:
    with pytest.raises(WorkspaceError, match="has no study to take a probe set from"):
        WorkspaceStepRecorder(home, None, "sft")
    first = WorkspaceStepRecorder(home, study, "sft")
    assert WorkspaceStepRecorder(home, None, "sft").examples.equals(first.examples)
    other = study.model_copy(update={"seed": 1})
    with pytest.raises(WorkspaceError, match="has another study"):
        WorkspaceStepRecorder(home, other, "sft")


def test_rows_are_kept_by_step_and_benchmark_and_written_once(study: Study, home: Path) -> None:
    recorder = WorkspaceStepRecorder(home, study, "sft")
    number = recorder.examples.height
    rows = pl.DataFrame([{"row": row, "loss": float(row), "reason": None} for row in range(number)])
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ROW_SCHEMA.items()]
    missing = [column for column in missing if column.meta.output_name() not in rows.columns]
    rows = rows.with_columns(missing).select(list(ROW_SCHEMA)).cast(ROW_SCHEMA)
    for identity in ("a", "a", "b"):
        recorder.record(7, rows, identity=identity, notes=["a note"])
    workspace = Workspace.current()
    [model] = workspace.study().models
    assert (model.name, model.series, model.step) == ("sft@7", "sft", 7)
    kept = {
        name: workspace.spectra("sft@7", name).scan().collect().sort("loss")
        for name in ("mini_maths", "mini_obscure")
    }
    distinct = recorder.examples.unique(["benchmark", "example_id"])
    counts = dict(distinct.group_by("benchmark").len().iter_rows())
    assert {name: frame.height for name, frame in kept.items()} == {
        name: 2 * count for name, count in counts.items()
    }
    assert all(frame["key"].n_unique() == frame.height for frame in kept.values())
