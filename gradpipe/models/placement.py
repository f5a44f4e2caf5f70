"""Where a model lies in memory: on one device, over several, or in part on the CPU or the disk."""

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

#: A word of AUTOMATIC, one device, or the device (a number is a GPU's) of each part of the model.
DeviceMap = str | dict[str, int | str]
#: Bytes, or a size such as 20GiB, of each GPU (by number), ``cpu`` and ``disk``.
MaxMemory = dict[int | str, int | str]


@dataclass(frozen=True)
class Placement:
    """How a model is laid out in memory; no number depends on it beyond rounding.

    ``device_map``: None puts it on the best device there is; ``auto`` spreads it over all GPUs and
    keeps on the CPU, then on the disk, what they cannot hold. ``checkpointing`` computes each
    layer's activations twice instead of keeping them until the backward pass: a third more time,
    and memory for one layer. Parts that are kept on the CPU or the disk switch it on by themselves
    (``offloaded`` says why). ``max_memory`` limits what an automatic layout may use. Raises
    StudyError for any other value.
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
                    "max_memory limits an automatic layout only: give device_map: auto with it."
                )
            object.__setattr__(self, "max_memory", _memory(self.max_memory))

    def settings(self, device: str) -> dict[str, Any]:
        """Return arguments for from_pretrained; ``device`` is for a model on a single device.

        Weights then go from the file to where they belong, in the precision asked for, with no
        whole copy of them on the CPU in between.
        """
        if self.device_map is None:
            return {} if device == "cpu" else {"device_map": device}
        limits = {} if self.max_memory is None else {"max_memory": dict(self.max_memory)}
        return {"device_map": self.device_map, **limits}


#: The whole model on the best device there is.
IN_ONE_PIECE = Placement()


def _check_device_map(device_map: Any) -> None:
    if isinstance(device_map, str):
        if device_map not in AUTOMATIC and not _DEVICE.fullmatch(device_map):
            raise StudyError(
                f"There is no device_map {device_map!r} (one device, such as cuda:1, would do "
                f"too): {nearest(device_map, AUTOMATIC)}"
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
    """The limits with GPUs by number: a file that went through JSON has them as text."""
    if not isinstance(limits, Mapping) or not limits:
        raise StudyError(
            f"max_memory cannot be {limits!r}: give a mapping, such as {{0: 20GiB, cpu: 60GiB}}."
        )
    found: MaxMemory = {}
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
                f"max_memory knows no {place!r}: name a GPU by its number, cpu or disk."
            )
        found[key] = size
    return found
