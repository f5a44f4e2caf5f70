"""A probe that writes into a workspace: each step becomes a model that is never loaded."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import gradpipe as gp
from assets.running.runner import Runner
from gradpipe.errors import StudyError, WorkspaceError
from gradpipe.studies.load import study_yaml
from gradpipe.training.gradient_probe import GradientProbe
from storage.workspace import Workspace
from tests.assets.conftest import NoAccelerator
from tests.conftest import study_of
from tests.training.runs import small_trainer, with_dropout

pytestmark = pytest.mark.usefixtures("no_images")
BENCHMARKS = ("mini_maths", "mini_obscure")


@pytest.fixture
def study(small_model: Path, tmp_path: Path) -> Path:
    """A study of two benchmarks, without models."""
    file = tmp_path / "study.yaml"
    changes = {"models": [], "statistics": ["nuclear_norm"], "sample": 5}
    file.write_text(study_yaml(study_of(small_model, *BENCHMARKS, **changes)))
    return file


def bring_up_to_date() -> dict[str, int]:
    """Run the pipeline without models; return the number of computed rows per stage."""
    workspace = Workspace.current()
    runner = Runner(workspace, workspace.study(), NoAccelerator())
    runner.bring_up_to_date()
    assert not runner.failures
    return {name: counts.computed for name, counts in runner.counts.items()}


def test_the_steps_of_a_run_become_a_series_of_the_report(
    study: Path, small_model: Path, tmp_path: Path, home: Path
) -> None:
    settings: dict[str, Any] = {"study": study, "items": 2, "workspace": home, "series": "sft"}
    probe = GradientProbe(**settings, every=4)
    trainer = small_trainer(small_model, tmp_path / "out", [probe], max_steps=4)
    trainer.train()
    assert bring_up_to_date()["gradient_spectra"] == 0
    workspace = Workspace.current()
    models = workspace.study().models
    assert [(one.name, one.step) for one in models] == [("sft@0", 0), ("sft@4", 4)]
    found = [
        workspace.statistics(model.name, benchmark).read()
        for model in models
        for benchmark in BENCHMARKS
    ]
    keys = ["model", "item_id", "style", "relevance", "layer", "projection"]
    measured = probe.spectra.with_columns(model="sft@" + pl.col("step").cast(pl.String))
    both = pl.concat(found).join(measured, on=keys, suffix="_measured", how="full")
    assert both.height == measured.height
    assert both["nuclear_norm"].equals(both["nuclear_norm_measured"])
    assert (home / "report" / "index.html").is_file()
    # Resumed at its last step, the run measures the same weights again, and writes nothing twice.
    again = GradientProbe(**settings)
    again.measure(trainer.model, trainer.processing_class, step=4)
    computed = bring_up_to_date()
    assert (computed["gradient_spectra"], computed["spectral_statistics"]) == (0, 0)
    rows = [workspace.spectra("sft@4", name).scan().collect().height for name in BENCHMARKS]
    assert rows == [12, 4]


@pytest.mark.usefixtures("plain_report")
def test_a_step_with_other_weights_replaces_the_earlier_one(
    study: Path, small_model: Path, home: Path
) -> None:
    loaded = gp.load_model(str(small_model))
    probe = GradientProbe(study=study, items=2, workspace=home, series="sft")
    probe.measure(loaded.model, loaded.tokenizer, step=10)
    with torch.no_grad():
        loaded.model.model.layers[0].self_attn.v_proj.weight.mul_(1.5)
    second = GradientProbe(workspace=home, series="sft")
    expected = second.measure(loaded.model, loaded.tokenizer, step=10)["loss"].unique().sort()
    bring_up_to_date()
    workspace = Workspace.current()
    assert [model.name for model in workspace.study().models] == ["sft@10"]
    losses = [workspace.statistics("sft@10", benchmark).read()["loss"] for benchmark in BENCHMARKS]
    assert pl.concat(losses).unique().sort().to_list() == expected.to_list()


def test_weights_of_another_precision_than_the_protocols_are_refused(
    study: Path, small_model: Path, home: Path
) -> None:
    model = with_dropout(small_model).to(torch.bfloat16)
    probe = GradientProbe(study=study, workspace=home)
    with pytest.raises(StudyError, match="`dtype: bfloat16`"):
        probe.measure(model, gp.load_model(str(small_model)).tokenizer, step=0)
    assert Workspace.current().study().models == ()


def test_responses_of_a_generator_come_from_the_workspace(small_model: Path, home: Path) -> None:
    probe = GradientProbe(study="demo_generated", workspace=home)
    with pytest.raises(WorkspaceError, match="no responses of benchmark .* yet"):
        probe.measure(with_dropout(small_model), object(), step=0)
