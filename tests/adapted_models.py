"""Small models with random adapters of the peft library."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
#: Kinds of LoRA, by what differs.
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"k_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "dropout": {"lora_dropout": 0.5},
}


def adapted(model: Any, targets: list[str], seed: int = 0, **settings: Any) -> PeftModel:
    """The model with an adapter whose weights are all random, as after training."""
    given = {"r": 4, "lora_alpha": 6, "target_modules": targets, "task_type": "CAUSAL_LM"}
    wrapped = get_peft_model(model, LoraConfig(**given | settings))
    randomize(wrapped, seed)
    return wrapped.eval()


def randomize(wrapped: Any, seed: int) -> None:
    """Change everything that the adapter trains: a fresh B is zero, and changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.2 * noise.to(parameter.dtype))
