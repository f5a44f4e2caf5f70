"""The most memory a process held: resident on the CPU, allocated on an accelerator."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from its making on; ``before`` is what was held then, the model included, in bytes."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._device = loaded.device
        # Weights that are mapped from a file take memory only once they are read.
        for parameter in loaded.model.parameters():
            parameter.sum()
        start_peak(self._device)
        with suppress(OSError):
            CLEAR.write_text("5")
        self.before = accelerator_peak(self._device) or _status("VmRSS") or _whole_peak()

    def peak(self) -> int:
        """The most that was held since, in bytes; since the process's start outside Linux."""
        return accelerator_peak(self._device) or _status("VmHWM") or _whole_peak()


def start_peak(device: str) -> None:
    """Let ``accelerator_peak`` count from here; nothing where it does not."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def accelerator_peak(device: str) -> int | None:
    """The most bytes that torch has allocated on a CUDA device; None for any other."""
    import torch

    return int(torch.cuda.max_memory_allocated()) if device.startswith("cuda") else None


def _status(key: str) -> int | None:
    """A line of Linux's account of this process, in bytes.

    Unlike ``ru_maxrss`` it does not start from what the process held that started this one.
    """
    with suppress(OSError):
        for line in STATUS.read_text("utf-8").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None


def _whole_peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
