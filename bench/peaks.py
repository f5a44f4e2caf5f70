"""Peak memory of a process: resident on the CPU, allocated on an accelerator."""

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
    """The peak since creation; ``before`` is the memory in use then, with the model, in bytes."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._device = loaded.device
        # Weights mapped from a file take memory only after they are read.
        for parameter in loaded.model.parameters():
            parameter.sum()
        start_peak(self._device)
        with suppress(OSError):
            CLEAR.write_text("5")
        self.before = accelerator_peak(self._device) or _status("VmRSS") or _whole_peak()

    def peak(self) -> int:
        """The peak since creation, in bytes; outside Linux, since the process's start."""
        peak = accelerator_peak(self._device) or _status("VmHWM") or _whole_peak()
        # The kernel's counts of resident pages lag by some dozens.
        return max(peak, self.before)


def start_peak(device: str) -> None:
    """Reset ``accelerator_peak``; does nothing on other devices."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def accelerator_peak(device: str) -> int | None:
    """The peak of bytes allocated by torch on a CUDA device; None on other devices."""
    import torch

    return int(torch.cuda.max_memory_allocated()) if device.startswith("cuda") else None


def _status(key: str) -> int | None:
    """A value of /proc/self/status in bytes; None outside Linux.

    Unlike ``ru_maxrss``, it does not include the memory of the parent process.
    """
    with suppress(OSError):
        for line in STATUS.read_text("utf-8").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None


def _whole_peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
