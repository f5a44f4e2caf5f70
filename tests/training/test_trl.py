"""TRL's trainer, training all weights or an adapter: its run is the same, its checkpoints agree."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from polars.testing import assert_frame_equal
from transformers import AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

import gradpipe as gp
from gradpipe.training.batch_spectra import BatchSpectra
from gradpipe.training.gradient_probe import GradientProbe
from tests.training.runs import PAIRS, traces, with_dropout

ROWS = [{"prompt": f"Count to {n}. ", "completion": f"{n}, and done."} for n in range(12)]


class FactorGradients(TrainerCallback):
    """Keeps the gradients of one layer's factors at each step."""

    def __init__(self) -> None:
        self.by_step: dict[int, dict[str, torch.Tensor]] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        path = "model.layers.1.self_attn.v_proj.lora_"
        self.by_step[state.global_step + 1] = {
            f"v_lora_{letter}": parameter.grad.clone()
            for name, parameter in given["model"].named_parameters()
            for letter in "ab"
            if f"{path}{letter.upper()}." in name
        }


def sft_trainer(folder: Path, out: Path, callbacks: list[Any], lora: bool) -> SFTTrainer:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token, tokenizer.eos_token = "!", '"'
    args = SFTConfig(
        output_dir=str(out),
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        logging_steps=1,
        save_steps=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        max_length=64,
    )
    torch.manual_seed(7)
    adapter = LoraConfig(r=4, lora_dropout=0.3, target_modules=["q_proj", "v_proj"])
    return SFTTrainer(
        with_dropout(folder),
        args,
        train_dataset=Dataset.from_list(ROWS),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=adapter if lora else None,
    )


def padded(spectra: pl.DataFrame) -> pl.DataFrame:
    """Spectra of equal length: a value at the level of rounding errors is left out, or not."""
    zeros = pl.lit(pl.Series([[0.0] * 32], dtype=pl.List(pl.Float32)))
    return spectra.with_columns(pl.col("singular_values").list.concat(zeros).list.head(32))


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_a_run_of_trl_is_the_same_and_its_checkpoints_agree(
    lora: bool, small_model: Path, tmp_path: Path
) -> None:
    probe, batch, factors = GradientProbe(PAIRS, every=2), BatchSpectra(every=2), FactorGradients()
    left, accuracies = [], []
    for callbacks in ([], [probe, batch, factors]):
        trainer = sft_trainer(small_model, tmp_path, callbacks, lora)
        trainer.train()
        left.append(traces(trainer))
        history = trainer.state.log_history
        accuracies.append([log["mean_token_accuracy"] for log in history if "grad_norm" in log])
    assert [name for name in left[0] if left[0][name] != left[1][name]] == []
    assert len(accuracies[0]) == 4
    assert accuracies[0] == accuracies[1]
    for step in (2, 4):
        loaded = gp.load_model(str(tmp_path / f"checkpoint-{step}"))
        expected = gp.extract_spectra(loaded.model, loaded.tokenizer, PAIRS)
        found = probe.spectra.filter(step=step).drop("step")
        assert_frame_equal(padded(found), padded(expected), rel_tol=1e-4, abs_tol=1e-6)
    roles = batch.spectra["projection"].unique().sort().to_list()
    if not lora:
        assert roles == ["k", "o", "q", "v"]
        return
    assert roles == ["q_lora_a", "q_lora_b", "v_lora_a", "v_lora_b"]
    for role, gradient in factors.by_step[4].items():
        expected = torch.linalg.svdvals(gradient.double())
        found = batch.spectra.filter(step=4, layer=1, projection=role)["singular_values"].item()
        torch.testing.assert_close(
            torch.tensor(found.to_list(), dtype=torch.float64),
            expected,
            rtol=1e-5,
            atol=1e-7 * float(expected[0]),
        )


def test_the_factors_of_an_adapter_are_measured_on_request(
    small_model: Path, tmp_path: Path
) -> None:
    trainer = sft_trainer(small_model, tmp_path, [], lora=True)
    protocol = gp.Protocol(preset="standard", projections=("q", "v"))
    probe = GradientProbe(PAIRS, adapter="factors", protocol=protocol)
    spectra = probe.measure(trainer.model, trainer.processing_class, step=0)
    first = spectra.filter(example=0, layer=0)
    assert first["projection"].to_list() == ["q_lora_a", "q_lora_b", "v_lora_a", "v_lora_b"]
    # A fresh B is zero, and so is the gradient at A.
    assert first["nuclear_norm"].to_list()[0] == 0 < first["nuclear_norm"].to_list()[1]
