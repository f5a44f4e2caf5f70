"""360 partitions, above the hundred at which Dagster's own staleness goes silent."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import gradpipe.engines.local
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.runner import Runner
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import Daemon, Materialized

MODELS = 120
BENCHMARKS = ("mini_maths", "mini_popular", "mini_obscure")


class NoModel(Accelerator):
    """Holds nothing: the extractor below needs no model."""

    def load(self, *_: Any) -> Any:
        return None


def invented(loaded: None, missing: pl.DataFrame, *_: Any) -> Iterator[pl.DataFrame]:
    """Sound rows of two layers, in place of an extraction."""
    values = np.array([3.0, 2.0, 1.0], np.float32)
    matrices = [
        {"layer": layer, "projection": name, "frobenius_norm": 14**0.5, "singular_values": values}
        for layer in range(2)
        for name in "koqv"
    ]
    row = {
        "loss": 1.0,
        "tokens": 9,
        "response_tokens": 3,
        "truncated": False,
        "reason": None,
        "seconds": 0.01,
        "matrices": matrices,
    }
    rows = [{"row": number} | row for number in range(missing.height)]
    yield pl.DataFrame(rows, schema=ROW_SCHEMA).drop("row").with_columns(missing["key"])


@pytest.fixture
def study(tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """120 models that differ in a file, on three benchmarks."""
    monkeypatch.setattr(gradpipe.engines.local, "extract_examples", invented)
    for number in range(MODELS):
        folder = tmp_path / "models" / str(number)
        folder.mkdir(parents=True)
        for file in small_model.iterdir():
            os.link(file, folder / file.name)
        (folder / "number.txt").write_text(str(number))
    return Study.model_validate(
        {
            "models": [
                {"id": str(tmp_path / "models" / str(number)), "name": f"m{number}"}
                for number in range(MODELS)
            ],
            "benchmarks": [{"name": name, "sample": 2} for name in BENCHMARKS],
            "relevances": ["correct"],
            "statistics": ["nuclear_norm"],
        }
    )


@pytest.mark.slow
def test_360_partitions_are_planned_reported_and_kept_up_to_date(
    home: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Runner(Workspace.current(), study, NoModel())
    runner.bring_up_to_date()
    assert not runner.failures
    page = Workspace.current().report_page.read_text()
    assert all(f'"m{number}"' in page for number in range(MODELS))

    started = time.monotonic()
    again = Runner(Workspace.current(), study, NoModel())
    counts = again.bring_up_to_date()
    seconds = time.monotonic() - started
    assert {count.computed for count in counts.values()} == {0}
    assert counts["spectral_statistics"].reused == MODELS * len(BENCHMARKS)
    with capsys.disabled():
        print(f"\n360 unchanged partitions planned in {seconds:.1f} s")

    (Path(study.models[-1].id) / "number.txt").write_text("changed")
    workspace = Workspace.current()
    workspace.keep_study(study.model_copy(update={"automation": True}))
    since = Materialized()
    with open_instance(workspace) as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Accelerator, "load", NoModel.load)
        Daemon(instance).until_quiet()
    column = [f"{name}|m{MODELS - 1}" for name in BENCHMARKS]
    ran = since.computed()
    assert {cell for stage, cell in ran if stage == "gradient_spectra"} == set(column)
    assert len(ran) == 2 * len(BENCHMARKS) + 1


@pytest.mark.parametrize("models", [1, 2])
def test_the_report_reads_one_partition_as_well_as_two(
    models: int, home: Path, study: Study
) -> None:
    few = study.model_copy(
        update={"models": study.models[:models], "benchmarks": study.benchmarks[:1]}
    )
    runner = Runner(Workspace.current(), few, NoModel())
    runner.bring_up_to_date()
    assert not runner.failures
    page = Workspace.current().report_page.read_text()
    assert [f'"m{number}"' in page for number in (0, 1, 2)] == [True, models == 2, False]
