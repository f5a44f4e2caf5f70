"""The devices of this machine and of a loaded model."""

from __future__ import annotations

from typing import Any

import torch

from gradpipe.models.hardware import cpu_name


def best_device() -> str:
    """Return ``cuda`` or ``mps`` if available, else ``cpu``."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_name(device: str) -> str:
    """Return a device's product name: the GPU's for "cuda:0", the processor's for "cpu"."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return cpu_name() if device.startswith("cpu") else device


def input_device(model: Any) -> torch.device:
    """Return the device for token ids: that of the input embeddings.

    An offloaded embedding has no device itself; its hook holds the device where it is computed.
    """
    embedding = model.get_input_embeddings()
    device: torch.device = embedding.weight.device
    if device.type != "meta":
        return device
    hook = getattr(embedding, "_hf_hook", None)
    for part in getattr(hook, "hooks", (hook,)):
        if (execution_device := getattr(part, "execution_device", None)) is not None:
            return torch.device(execution_device)
    return device


def offloaded(model: Any) -> bool:
    """Return whether some weights are offloaded: moved to their device only for each use.

    The backward pass needs the weights that the forward pass used, so without checkpointing the
    graph would keep them all: at the end of the forward pass, the whole model would be in the
    device's memory. With checkpointing, it is one layer at a time.
    """
    return any(parameter.device.type == "meta" for parameter in model.parameters())


def devices(model: Any) -> list[str]:
    """Return the devices that compute a model's layers, the input device first."""
    first = str(input_device(model))
    mapped = {str(place) for place in getattr(model, "hf_device_map", {}).values()}
    others = {f"cuda:{place}" if place.isdecimal() else place for place in mapped}
    return [first, *sorted(others - {first, "cpu", "disk"})]
