"""Spectra of the gradients that a training computed, against autograd by hand."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor
from transformers import TrainerCallback

import gradpipe as gp
from gradpipe.errors import ModelError, StudyError
from gradpipe.training.batch_spectra import BatchSpectra
from tests.training.runs import small_trainer, traces, with_dropout

Roles = dict[str, Tensor]


def spectrum(found: pl.DataFrame, layer: int, role: str) -> Tensor:
    values = found.filter(layer=layer, projection=role)["singular_values"].item()
    return torch.tensor(values.to_list(), dtype=torch.float64)


def backward(model: Any) -> None:
    """Accumulate the gradients of two batches in the weights."""
    model.requires_grad_(True)
    for ids in torch.randint(3, 200, (2, 2, 9), generator=torch.Generator().manual_seed(2)):
        model(input_ids=ids, labels=ids).loss.backward()


def llama(layer: Any) -> Roles:
    attention, mlp = layer.self_attn, layer.mlp
    modules = {"q": attention.q_proj, "k": attention.k_proj, "v": attention.v_proj}
    modules |= {"o": attention.o_proj, "gate": mlp.gate_proj, "up": mlp.up_proj}
    modules["down"] = mlp.down_proj
    return {role: module.weight.grad for role, module in modules.items()}


def gpt2(layer: Any) -> Roles:
    q, k, v = layer.attn.c_attn.weight.grad.T.chunk(3)
    return {"q": q, "k": k, "v": v, "o": layer.attn.c_proj.weight.grad.T}


def gpt_neox(layer: Any) -> Roles:
    """Each head of 12 columns has its own q, k and v, side by side."""
    fused = layer.attention.query_key_value.weight.grad.unflatten(0, (4, 3, 12))
    parts = {role: fused[:, place].flatten(0, 1) for place, role in enumerate("qkv")}
    return {**parts, "o": layer.attention.dense.weight.grad}


FAMILIES = {
    "llama": (lambda model: model.model.layers, llama),
    "gpt2": (lambda model: model.transformer.h, gpt2),
    "gpt_neox": (lambda model: model.gpt_neox.layers, gpt_neox),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_spectra_are_those_of_autograd(family: str, make_model: Callable[..., Any]) -> None:
    layers_of, by_hand = FAMILIES[family]
    model = make_model(family)
    backward(model)
    before = {name: one.grad.clone() for name, one in model.named_parameters()}
    layers = [by_hand(layer) for layer in layers_of(model)]
    found = BatchSpectra(projections=tuple(layers[0])).measure(model, step=5)
    assert found.height == sum(map(len, layers))
    for number, roles in enumerate(layers):
        for role, gradient in roles.items():
            expected = torch.linalg.svdvals(gradient.double())
            torch.testing.assert_close(
                spectrum(found, number, role), expected, rtol=1e-6, atol=1e-7 * float(expected[0])
            )
    changed = [n for n, one in model.named_parameters() if not torch.equal(before[n], one.grad)]
    assert changed == []


class Snapshots(TrainerCallback):
    """Keeps copies of the gradients of each optimizer step."""

    def __init__(self) -> None:
        self.by_step: dict[int, list[Roles]] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        layers = given["model"].model.layers
        self.by_step[state.global_step + 1] = [
            {role: gradient.clone() for role, gradient in llama(layer).items()} for layer in layers
        ]


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_the_gradient_is_what_the_optimizer_uses(
    clip: float, small_model: Path, tmp_path: Path
) -> None:
    batch, snapshots = BatchSpectra(every=2), Snapshots()
    settings = {"max_steps": 5, "max_grad_norm": clip}
    left = []
    for callbacks in ([], [batch, snapshots]):
        trainer = small_trainer(small_model, tmp_path, callbacks, **settings)
        trainer.train()
        left.append(traces(trainer))
    assert [name for name in left[0] if left[0][name] != left[1][name]] == []
    assert batch.spectra["step"].unique().to_list() == [2, 4]
    for step in (2, 4):
        total = sum(
            float(g.square().sum()) for one in snapshots.by_step[step] for g in one.values()
        )
        assert clip == 0.0 or total**0.5 <= clip * 1.001
        for number, roles in enumerate(snapshots.by_step[step]):
            expected = torch.linalg.svdvals(roles["q"].double())
            found = spectrum(batch.spectra.filter(step=step), number, "q")
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7 * float(expected[0]))


def test_numbers_are_logged_at_their_step(small_model: Path, tmp_path: Path) -> None:
    batch = BatchSpectra(every=2, numbers=["spectral_norm", "frobenius_norm_mad"])
    trainer = small_trainer(small_model, tmp_path, [batch], max_steps=5)
    trainer.train()
    name = "gradpipe/batch/spectral_norm/v"
    logged = {log["step"]: log[name] for log in trainer.state.log_history if name in log}
    assert list(logged) == [2, 4]
    of_step = batch.spectra.filter(step=4, projection="v")
    assert logged[4] == pytest.approx(of_step["spectral_norm"].mean())
    row = batch.table().row(by_predicate=(pl.col("step") == 4) & (pl.col("projection") == "v"))
    norms = of_step["frobenius_norm"]
    steps = (abs(norms[1] - norms[0]) + abs(norms[2] - norms[1])) / 2
    assert row == (4, "v", pytest.approx(logged[4]), pytest.approx(steps))


def test_a_zero_gradient_and_one_that_is_not_finite_have_no_ratios(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("llama")
    backward(model)
    first, second, _ = model.model.layers
    first.self_attn.q_proj.weight.grad.zero_()
    second.self_attn.q_proj.weight.grad[0, 0] = torch.inf
    found = BatchSpectra(numbers=["effective_rank"]).measure(model, step=1).filter(projection="q")
    assert found["nuclear_norm"].to_list()[:2] == [0.0, None]
    assert found["effective_rank"].is_null().to_list() == [True, True, False]


def test_tiny_gradients_keep_their_spectra(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("llama")
    backward(model)
    whole = BatchSpectra().measure(model, step=1)
    for parameter in model.parameters():
        parameter.grad.mul_(2.0**-120)
    tiny = BatchSpectra().measure(model, step=1)
    ratio = (tiny["nuclear_norm"] / whole["nuclear_norm"]) * 2.0**120
    assert ratio.min() == pytest.approx(1, rel=1e-5)


def test_frozen_weights_are_left_out_and_without_any_gradient_it_is_an_error(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("llama")
    backward(model)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.grad = None
    roles = BatchSpectra().measure(model, step=1)["projection"].unique().sort()
    assert roles.to_list() == ["k", "o", "v"]
    model.zero_grad()
    with pytest.raises(ModelError, match="No projection has a gradient"):
        BatchSpectra().measure(model, step=2)


def test_a_model_without_gradients_stops_the_training_at_its_first_step(
    small_model: Path, tmp_path: Path
) -> None:
    model = with_dropout(small_model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("self_attn" not in name)
    trainer = small_trainer(small_model, tmp_path, [BatchSpectra(every=100)], model=model)
    with pytest.raises(ModelError, match="No projection has a gradient"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_failure_after_the_first_step_is_a_warning(
    small_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.global_step + 1 == 4:
                for parameter in given["model"].parameters():
                    parameter.grad = None

    batch = BatchSpectra(every=2)
    with caplog.at_level(logging.WARNING, "gradpipe"):
        small_trainer(small_model, tmp_path, [Gone(), batch], max_steps=6).train()
    assert [r.getMessage() for r in caplog.records if r.name.startswith("gradpipe")] == [
        "the gradient of step 4 could not be measured"
    ]
    assert batch.spectra["step"].unique().to_list() == [2, 6]


@pytest.mark.parametrize("numbers", [["nuclear_norms"], ["token_alignment"], ["loss"]])
def test_numbers_that_do_not_follow_from_a_spectrum_are_refused(numbers: list[str]) -> None:
    with pytest.raises(StudyError, match=numbers[0]):
        gp.BatchSpectra(numbers=numbers)


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_every_is_a_number_of_steps(every: Any) -> None:
    with pytest.raises(StudyError, match="every"):
        gp.BatchSpectra(every=every)
