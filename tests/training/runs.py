"""Short training runs of a small model, and everything that a run leaves behind."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from gradpipe.training.weights_hash import weights_hash

PAIRS = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]


def rows(number: int = 24, tokens: int = 12) -> list[dict[str, Any]]:
    """Examples of random token ids, all of them with loss."""
    ids = torch.randint(3, 256, (number, tokens), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": row.tolist(), "labels": row.tolist()} for row in ids]


def small_trainer(
    folder: Path,
    out: Path,
    callbacks: list[TrainerCallback],
    model: Any = None,
    eval_dataset: Any = None,
    **settings: Any,
) -> Trainer:
    """A Trainer of the small model in ``folder``: 2 micro-batches of 2 per step, shuffled."""
    arguments = {
        "output_dir": str(out),
        "max_steps": 20,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 5,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
    }
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    return Trainer(
        model if model is not None else with_dropout(folder),
        TrainingArguments(**{**arguments, **settings}),
        data_collator=default_data_collator,
        train_dataset=rows(),
        eval_dataset=eval_dataset,
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=callbacks,
    )


def with_dropout(folder: Path) -> Any:
    """The model of a folder, with dropout in its attention."""
    return AutoModelForCausalLM.from_pretrained(folder, attention_dropout=0.2)


def traces(trainer: Trainer) -> dict[str, Any]:
    """What a run leaves behind, as values that compare equal bit for bit."""
    model, optimizer = trainer.model, trainer.optimizer.state_dict()["state"]
    return {
        "weights": weights_hash(model),
        "optimizer": {
            (number, name): value.numpy().tobytes() if torch.is_tensor(value) else value
            for number, states in optimizer.items()
            for name, value in states.items()
        },
        "gradients": [parameter.grad for parameter in model.parameters()],
        "trainable": [parameter.requires_grad for parameter in model.parameters()],
        "training": [module.training for module in model.modules()],
        "forwards": [name for name, one in model.named_modules() if "forward" in vars(one)],
        "hooks": [
            len(hooks)
            for module in model.modules()
            for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        ],
        "config": model.config.to_dict(),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes(),
        "python": random.getstate(),
        "losses": [log["loss"] for log in trainer.state.log_history if "loss" in log],
    }
