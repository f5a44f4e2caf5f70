"""A checkpoint's step, from what is given, its trainer state or its name."""

import pytest

from gradpipe.checkpoints.checkpoint import step_label, step_model_name
from gradpipe.checkpoints.steps import read_step, step_in_name


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-100", 100),
        ("checkpoint_100", 100),
        ("step1000-tokens4B", 1000),
        ("stage1-step1000-tokens4B", 1000),
        ("step0", 0),
        ("epoch-3", 3),
        ("epoch-0.5", 0.5),
        ("global_step250", 250),
        ("qwen2.5-steps=40", 40),
        ("iter-00020-ckpt", 20),
        ("final", None),
    ],
)
def test_the_step_in_a_name_follows_its_word_or_is_the_last_number(
    name: str, step: float | None
) -> None:
    assert step_in_name(name) == step


def test_the_trainers_own_step_wins_over_the_name_and_the_studys_over_both() -> None:
    state = b'{"best_global_step": 7,\n  "global_step": 300, "log_history": [{"step": 9}]}'
    assert read_step("epoch-3", {}, state) == 300
    assert read_step("epoch-3", {"epoch-3": 5}, state) == 5
    assert read_step("epoch-3", {"other": 5}, b'{"best_global_step": 7}') == 3
    assert read_step("final", {}, None) is None


def test_a_steps_label_has_no_trailing_zeros() -> None:
    assert step_label(100.0) == "100"
    assert step_label(0.5) == "0.5"
    assert step_label(1_234_567) == "1234567"
    assert step_model_name("sft", 1e6) == "sft@1000000"
