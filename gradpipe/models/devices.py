"""The devices that this machine has, and those that a loaded model lies on."""

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
    """A device's model name: the GPU's for "cuda:0", the processor's for "cpu"."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return cpu_name() if device.startswith("cpu") else device


def input_device(model: Any) -> torch.device:
    """The device that token ids are to be on: where the input embeddings are computed.

    An offloaded embedding has no device of its own; its hook knows where it is brought to.
    """
    embedding = model.get_input_embeddings()
    device: torch.device = embedding.weight.device
    if device.type != "meta":
        return device
    hook = getattr(embedding, "_hf_hook", None)
    for each in getattr(hook, "hooks", (hook,)):
        if (found := getattr(each, "execution_device", None)) is not None:
            return torch.device(found)
    return device


def offloaded(model: Any) -> bool:
    """Return whether some weights are moved to their device only for each use.

    The backward pass needs every frozen weight that the forward pass used, so the graph keeps each
    one that was brought in: by the end of the forward pass the whole model is in the device's
    memory. With checkpointing, it is one layer at a time.
    """
    return any(parameter.device.type == "meta" for parameter in model.parameters())


def devices(model: Any) -> list[str]:
    """The devices that a model's layers are computed on, its input's first."""
    first = str(input_device(model))
    mapped = {str(place) for place in getattr(model, "hf_device_map", {}).values()}
    others = {f"cuda:{place}" if place.isdecimal() else place for place in mapped}
    return [first, *sorted(others - {first, "cpu", "disk"})]
