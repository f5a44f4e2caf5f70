"""Memory: how many tokens a batch may have, and what it looks like when they were too many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradpipe.system.control_groups import container_memory
from gradpipe.system.failures import Cause, failed_with

if TYPE_CHECKING:
    from torch import Tensor

#: The share of the free memory that a batch's activations may take: the passes' own temporaries
#: are not counted, and a CPU's memory belongs to others too.
CPU_SHARE = 0.5
ACCELERATOR_SHARE = 0.7
#: Kept free on an accelerator for a block of logits and for the spectra, in bytes.
RESERVE = 3 * 2**30


@dataclass
class SavedBytes:
    """Bytes that are kept for the backward pass at once, weights not counted.

    ``forward``: kept by the forward pass. ``again``: kept in the backward pass by ``layers`` layers
    that are computed again, of which one is there at a time.
    """

    layers: int
    forward: int = 0
    again: int = 0

    @property
    def bytes(self) -> float:
        """Of the forward pass and of one layer."""
        return self.forward + self.again / max(1, self.layers)


@contextmanager
def saved_bytes(model: Any, layers: int = 0) -> Iterator[SavedBytes]:
    """Counts, while open, what autograd keeps of ``model``'s passes on this thread.

    ``layers`` is the number of those that are checkpointed.
    """
    from torch import nn
    from torch.autograd.graph import saved_tensors_hooks
    from torch.multiprocessing.reductions import StorageWeakRef

    found = SavedBytes(layers)
    # Not by address: what is freed on the way leaves its own to what comes later.
    seen = {StorageWeakRef(parameter.untyped_storage()) for parameter in model.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        # A weight that is brought in for each use is a parameter that the model did not have yet.
        weight = any(isinstance(each, nn.Parameter) for each in (tensor, tensor._base))
        reference = StorageWeakRef(storage)
        if weight or reference in seen:
            return tensor
        seen.add(reference)
        if _in_backward():
            found.again += storage.nbytes()
        else:
            found.forward += storage.nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        yield found


def _in_backward() -> bool:
    """Whether the engine of autograd is at work on this thread."""
    import torch

    return int(torch._C._current_graph_task_id()) != -1


def tokens_that_fit(bytes_per_token: float, devices: list[str]) -> int:
    """How many tokens of a batch the memory that is free on a model's ``devices`` now can hold.

    At least one.
    """
    if devices[0].startswith("cpu"):
        usable = CPU_SHARE * free_memory("cpu")
    else:
        # A model that is spread keeps its activations where its layers are.
        usable = ACCELERATOR_SHARE * len(devices) * min(map(free_memory, devices)) - RESERVE
    return max(1, int(usable / max(bytes_per_token, 1.0)))


def free_memory(device: str) -> int:
    """Bytes that can still be had on a device."""
    import torch

    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device.startswith("mps"):
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _free_of_cpu()


def _free_of_cpu() -> int:
    """Available memory, within the limit of the container that this may run in."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used in container_memory():
        free = min(free, max(limit - used, 0))
    return free


def out_of_memory(error: BaseException) -> bool:
    """Whether a batch did not fit, as each device says it."""
    return failed_with(error, Cause.OUT_OF_MEMORY)


def trim_heap() -> None:
    """Give freed memory back to the system, where the C library is GNU's, which keeps it.

    What it keeps of smaller batches is in pieces too small for larger ones.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def make_room() -> None:
    """Give back what a failed batch left in the devices' memory."""
    import gc

    import torch

    gc.collect()
    trim_heap()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
