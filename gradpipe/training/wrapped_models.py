"""The model inside the wrappers of a training run; models with sharded weights are refused."""

from __future__ import annotations

from typing import Any

from accelerate.utils import extract_model_from_parallel
from torch import nn

from gradpipe.errors import ModelError


def unwrapped(model: Any) -> Any:
    """The model inside DistributedDataParallel, a DeepSpeed engine, or what torch.compile returned.

    Raises ModelError if the weights are sharded over processes.
    """
    if way := _sharding(model):
        raise ModelError(
            f"The weights of this model are sharded over processes ({way}), and gradpipe needs "
            "whole ones: train with DDP or ZeRO-1 or -2, or save checkpoints and let `gradpipe "
            "run` compute their spectra."
        )
    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    return inner if inner is model else unwrapped(inner)


def _sharding(model: nn.Module) -> str | None:
    """How a model's weights are sharded, or None if each process has them all."""
    # By name, since builds of torch without distributed training do not have the class.
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        return "FSDP"
    for parameter in model.parameters():
        if hasattr(parameter, "ds_id"):
            return "DeepSpeed ZeRO-3"
        if hasattr(parameter, "device_mesh"):
            return "as DTensor, by FSDP 2 or tensor parallelism"
    return None
