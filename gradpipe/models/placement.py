"""How a model is laid out: on one or several devices, or partly offloaded to CPU or disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradpipe.errors import StudyError, nearest

#: Layouts that are computed from the available memory.
AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
_DEVICE = re.compile(r"cpu|mps|(cuda|xpu|npu)(:\d+)?")
_SIZE = re.compile(r"\d+(\.\d+)?\s*[KMG]i?B", re.IGNORECASE)

#: One of AUTOMATIC, one device, or the device of each part of the model; numbers are GPUs.
DeviceMap = str | dict[str, int | str]
#: Limits for GPUs (by number), ``cpu`` and ``disk``, in bytes or as a size such as 20GiB.
MaxMemory = dict[int | str, int | str]


@dataclass(frozen=True)
class Placement:
    """How a model is laid out in memory; results depend on it by rounding only.

    ``device_map``: None uses the best device; ``auto`` distributes the model over all GPUs and
    offloads the rest to the CPU, then to disk. ``checkpointing`` recomputes each layer's
    activations in the backward pass instead of keeping them: this takes a third more time, and
    memory for one layer only. Offloading implies it (see ``devices.offloaded``). ``max_memory``
    limits what an automatic layout may use. Raises StudyError for any other value.
    """

    device_map: DeviceMap | None = None
    checkpointing: bool = False
    max_memory: MaxMemory | None = None

    def __post_init__(self) -> None:
        if self.device_map is not None:
            _check_device_map(self.device_map)
        if self.max_memory is not None:
            if self.device_map not in AUTOMATIC:
                raise StudyError(
                    "max_memory limits automatic layouts only: set device_map: auto too."
                )
            object.__setattr__(self, "max_memory", _memory(self.max_memory))

    def settings(self, device: str) -> dict[str, Any]:
        """Return arguments for from_pretrained; ``device`` is used without a device map.

        Weights are then loaded in their final precision directly to their devices, without a copy
        of the whole model on the CPU.
        """
        if self.device_map is None:
            return {} if device == "cpu" else {"device_map": device}
        limits = {} if self.max_memory is None else {"max_memory": dict(self.max_memory)}
        return {"device_map": self.device_map, **limits}


#: The whole model on the best device.
IN_ONE_PIECE = Placement()


def _check_device_map(device_map: Any) -> None:
    if isinstance(device_map, str):
        if device_map not in AUTOMATIC and not _DEVICE.fullmatch(device_map):
            raise StudyError(
                f"There is no device_map {device_map!r} (a device such as cuda:1 is also allowed): "
                f"{nearest(device_map, AUTOMATIC)}"
            )
        return
    if not isinstance(device_map, Mapping) or not device_map:
        raise StudyError(
            f"device_map cannot be {device_map!r}: give auto, one device, or a mapping from the "
            "model's parts to their devices."
        )
    for part, device in device_map.items():
        known = device == "disk" or (isinstance(device, str) and _DEVICE.fullmatch(device))
        number = isinstance(device, int) and not isinstance(device, bool) and device >= 0
        if not isinstance(part, str) or not (known or number):
            raise StudyError(
                f"device_map cannot put {part!r} on {device!r}: name a part of the model and a "
                "GPU's number, a device such as cuda:1, cpu or disk."
            )


def _memory(limits: Any) -> MaxMemory:
    """Return the limits with GPUs as integers, since JSON has them as text; raise StudyError."""
    if not isinstance(limits, Mapping) or not limits:
        raise StudyError(
            f"max_memory cannot be {limits!r}: give a mapping, such as {{0: 20GiB, cpu: 60GiB}}."
        )
    checked: MaxMemory = {}
    for place, size in limits.items():
        key = int(place) if isinstance(place, str) and place.isdecimal() else place
        is_number = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        is_size = isinstance(size, str) and _SIZE.fullmatch(size)
        if not (is_number or is_size):
            raise StudyError(
                f"max_memory of {place!r} cannot be {size!r}: give bytes or a size such as 20GiB."
            )
        if not (key in {"cpu", "disk", "mps"} or (type(key) is int and key >= 0)):
            raise StudyError(
                f"max_memory cannot limit {place!r}: use the number of a GPU, cpu or disk."
            )
        checked[key] = size
    return checked
