"""A probe during training: it changes nothing, and measures the weights of the moment."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import TrainerCallback

import gradpipe as gp
from gradpipe.errors import DataError, ModelError, StudyError
from gradpipe.training.gradient_probe import GradientProbe
from tests.training.runs import PAIRS, small_trainer, traces, with_dropout

MODES = {
    "accumulation": {},
    "clipped": {"max_grad_norm": 0.1},
    "bf16": {"bf16": True},
    "checkpointing": {"activation_checkpointing": True},
    "neftune": {"neftune_noise_alpha": 5.0},
    "compiled": {"torch_compile": True, "torch_compile_backend": "eager"},
}


@pytest.mark.parametrize("mode", MODES)
def test_training_is_the_same_bit_for_bit(mode: str, small_model: Path, tmp_path: Path) -> None:
    probe = GradientProbe(PAIRS, every=3)
    left = []
    for callbacks in ([], [probe]):
        trainer = small_trainer(small_model, tmp_path, callbacks, **MODES[mode])
        trainer.train()
        left.append(traces(trainer))
    assert left[0].keys() == left[1].keys()
    assert [name for name in left[0] if left[0][name] != left[1][name]] == []
    assert probe.table()["step"].unique().sort().to_list() == [0, 3, 6, 9, 12, 15, 18, 20]


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
