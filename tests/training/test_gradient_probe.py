"""A probe during training: it changes nothing, and measures the weights of the moment."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch._dynamo.utils import counters
from transformers import EarlyStoppingCallback, TrainerCallback

import gradpipe as gp
from gradpipe.errors import DataError, StudyError
from gradpipe.studies.load import study_yaml
from gradpipe.training.gradient_probe import GradientProbe
from tests.conftest import study_of
from tests.training.runs import PAIRS, rows, small_trainer, traces, with_dropout

MODES: dict[str, dict[str, Any]] = {
    "accumulation": {},
    "bf16": {"bf16": True, "max_grad_norm": 0.1},
    "checkpointing": {"activation_checkpointing": True},
    "noisy embeddings": {"neftune_noise_alpha": 5.0},
    "compiled": {"torch_compile": True, "torch_compile_backend": "eager"},
}


@pytest.mark.parametrize("mode", MODES)
def test_training_is_the_same_bit_for_bit(mode: str, small_model: Path, tmp_path: Path) -> None:
    probe, left, compiled = GradientProbe(PAIRS, every=6), [], []
    for callbacks in ([], [probe]):
        torch._dynamo.reset()
        counters.clear()
        trainer = small_trainer(small_model, tmp_path, callbacks, **MODES[mode])
        trainer.train()
        left.append(traces(trainer))
        compiled.append(counters["stats"]["unique_graphs"])
    assert [name for name in left[0] if left[0][name] != left[1][name]] == []
    assert compiled[0] == compiled[1]
    assert (compiled[0] > 0) == (mode == "compiled")
    assert probe.table()["step"].unique().sort().to_list() == [0, 6, 12, 18, 20]


def test_a_probe_between_micro_batches_leaves_their_gradients(small_model: Path) -> None:
    def gradients(measured: bool) -> list[torch.Tensor]:
        torch.manual_seed(5)
        model = with_dropout(small_model).train()
        model.lm_head.weight.requires_grad_(False)
        tokenizer = gp.load_model(str(small_model)).tokenizer
        for ids in torch.randint(3, 200, (2, 2, 9), generator=torch.Generator().manual_seed(2)):
            if measured:
                with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
                    GradientProbe(PAIRS).measure(model, tokenizer, step=0)
            model(input_ids=ids, labels=ids).loss.backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    one, other = gradients(False), gradients(True)
    assert len(one) == len(other) > 0
    assert all(map(torch.equal, one, other))


def test_numbers_are_those_of_the_checkpoint_saved_at_the_step(
    small_model: Path, tmp_path: Path
) -> None:
    probe = GradientProbe(PAIRS, every=10)
    settings = {"save_strategy": "steps", "save_steps": 10, "bf16": True}
    small_trainer(small_model, tmp_path, [probe], **settings).train()
    for step in (10, 20):
        loaded = gp.load_model(str(tmp_path / f"checkpoint-{step}"))
        expected = gp.extract_spectra(loaded.model, loaded.tokenizer, PAIRS)
        found = probe.spectra.filter(step=step).drop("step")
        assert_frame_equal(found, expected, rel_tol=1e-4, abs_tol=1e-6)
    before, after = (probe.spectra.filter(step=step)["nuclear_norm"].mean() for step in (0, 20))
    assert before != after


class Logs(TrainerCallback):
    """Receives what a logging service receives; such callbacks come before those of users."""

    def __init__(self) -> None:
        self.received: list[tuple[int, dict[str, float]]] = []

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.received.append((state.global_step, dict(given["logs"])))


def test_numbers_reach_the_services_that_the_trainer_logs_to(
    small_model: Path, tmp_path: Path
) -> None:
    numbers = ["effective_rank", "nuclear_norm_mad"]
    service, probe = Logs(), GradientProbe(PAIRS, every=5, numbers=numbers)
    trainer = small_trainer(small_model, tmp_path, [service, probe], max_steps=10)
    trainer.train()
    name = "gradpipe/effective_rank/q"
    steps = [step for step, logs in service.received if name in logs]
    assert steps == [0, 5, 10]
    assert [step for step, logs in service.received if "grad_norm" in logs] == [5, 10]
    last = next(logs for step, logs in service.received if name in logs and step == 10)
    spectra = probe.spectra.filter(step=10, projection="q")
    assert last[name] == pytest.approx(spectra["effective_rank"].mean())
    curve = spectra.group_by("layer", maintain_order=True).agg(pl.col("nuclear_norm").mean())
    mad = curve["nuclear_norm"].diff().abs().mean()
    assert last["gradpipe/nuclear_norm_mad/q"] == pytest.approx(mad)
    losses = spectra.unique("example")["loss"]
    assert last["gradpipe/loss"] == pytest.approx(losses.mean())
    history = [log["step"] for log in trainer.state.log_history if name in log]
    assert history == [0, 5, 10]
    row = probe.table().filter(step=10, projection="q").select(*numbers)
    assert row.row(0) == (pytest.approx(last[name]), pytest.approx(mad))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"at_start": False}, [4, 6]),
        ({"at_end": False}, [0, 4]),
        ({"every": 2}, [0, 2, 4, 6]),
    ],
)
def test_steps_are_chosen(
    settings: dict[str, Any], steps: list[int], small_model: Path, tmp_path: Path
) -> None:
    probe = GradientProbe(PAIRS, **{"every": 4, **settings})
    small_trainer(small_model, tmp_path, [probe], max_steps=6).train()
    assert probe.table()["step"].unique().to_list() == steps


def test_the_end_is_measured_before_the_best_checkpoint_is_loaded(
    small_model: Path, tmp_path: Path
) -> None:
    probe = GradientProbe(PAIRS, every=100)
    settings = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps"}
    settings |= {"eval_steps": 2, "load_best_model_at_end": True, "learning_rate": 1.0}
    stop = EarlyStoppingCallback(early_stopping_patience=1)
    settings |= {"eval_dataset": rows(4)}
    trainer = small_trainer(small_model, tmp_path, [probe, stop], max_steps=20, **settings)
    trainer.train()
    last = trainer.state.global_step
    assert last < 20
    assert probe.table()["step"].unique().to_list() == [0, last]
    losses = probe.table().unique("step")["loss"].to_list()
    restored = GradientProbe(PAIRS)
    restored.measure(trainer.model, trainer.processing_class, step=0)
    assert losses[1] != pytest.approx(restored.table()["loss"].first())


def test_a_study_gives_its_examples_with_their_labels(small_model: Path, tmp_path: Path) -> None:
    loaded = gp.load_model(str(small_model))
    study = study_of(small_model, "mini_maths", "mini_commonsense", sample=5)
    (tmp_path / "study.yaml").write_text(study_yaml(study))
    probe = GradientProbe(study=tmp_path / "study.yaml", items=2, numbers=["nuclear_norm"])
    spectra = probe.measure(loaded.model, loaded.tokenizer, step=3)
    assert spectra["benchmark"].n_unique() > 1
    assert spectra.group_by("benchmark").agg(pl.col("item_id").n_unique())["item_id"].max() == 2
    assert {"correct", "irrelevant"} == set(spectra["relevance"])
    curves = gp.curves(spectra, ["nuclear_norm"])
    assert curves["style"].n_unique() > 1


def test_what_cannot_be_measured_is_refused_before_the_first_step(
    small_model: Path, tmp_path: Path
) -> None:
    class Steps(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            pytest.fail("the training began")

    for at_start in (True, False):
        probe = GradientProbe([("A question", "")], at_start=at_start)
        with pytest.raises(DataError, match="No example of the probe set can be used"):
            small_trainer(small_model, tmp_path, [probe, Steps()]).train()
    trainer = small_trainer(small_model, tmp_path, [GradientProbe(PAIRS), Steps()])
    trainer.callback_handler.processing_class = None
    with pytest.raises(DataError, match="no tokenizer"):
        trainer.train()


def test_a_failure_after_the_first_step_is_a_warning(
    small_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            given["model"].get_input_embeddings = None if state.global_step == 4 else embeddings

    probe = GradientProbe(PAIRS, every=2, at_end=False)
    trainer = small_trainer(small_model, tmp_path, [Breaks(), probe], max_steps=6)
    embeddings = trainer.model.get_input_embeddings
    with caplog.at_level(logging.WARNING, "gradpipe"):
        trainer.train()
    found = [record for record in caplog.records if record.name.startswith("gradpipe")]
    assert [record.getMessage() for record in found] == ["step 4 could not be measured"]
    assert found[0].exc_info is not None
    assert probe.table()["step"].unique().to_list() == [0, 2, 6]
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({}, DataError, "The probe set is missing"),
        ({"examples": []}, DataError, "no examples"),
        ({"examples": PAIRS, "every": 0}, StudyError, "`every` cannot be 0"),
        (
            {"examples": PAIRS, "numbers": ["nuclear_nrm"]},
            StudyError,
            "did you mean 'nuclear_norm'",
        ),
        ({"examples": PAIRS, "study": "demo"}, StudyError, "`study` does not go with examples"),
        ({"examples": PAIRS, "items": 2}, StudyError, "`items` does not go with examples"),
        ({"examples": PAIRS, "protocol": "papers"}, StudyError, "did you mean 'paper'"),
        ({"study": "demo", "protocol": "paper"}, StudyError, "`protocol` does not go with a study"),
        (
            {"workspace": "w", "items": 2},
            StudyError,
            "`items` does not go with a workspace",
        ),
        ({"study": "dem"}, StudyError, "did you mean 'demo'"),
    ],
)
def test_arguments_are_checked_at_once(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        GradientProbe(**arguments)


def test_a_study_with_a_generator_needs_a_workspace(small_model: Path) -> None:
    probe = GradientProbe(study="demo_generated")
    with pytest.raises(StudyError, match="written by a generator"):
        probe.measure(with_dropout(small_model), object(), step=0)


def test_nothing_but_the_loss_is_logged_without_numbers(small_model: Path, tmp_path: Path) -> None:
    probe = GradientProbe(PAIRS, every=2, numbers=[])
    trainer = small_trainer(small_model, tmp_path, [probe], max_steps=2)
    trainer.train()
    names = {name for log in trainer.state.log_history for name in log if "gradpipe" in name}
    assert names == {"gradpipe/loss"}
    assert probe.table().columns == ["step", "projection", "loss"]


def test_weights_that_diverged_leave_a_step_without_numbers(small_model: Path) -> None:
    loaded = gp.load_model(str(small_model))
    probe = GradientProbe(PAIRS)
    with torch.no_grad():
        loaded.model.lm_head.weight[0, 0] = torch.nan
    measured = probe.measure(loaded.model, loaded.tokenizer, step=1)
    assert measured.drop_nulls("layer").is_empty()
    assert measured["reason"].is_not_null().all()
    assert probe.table().is_empty()
