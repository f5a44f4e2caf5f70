"""Measure memory, derive how many tokens a batch may have, and detect that it did not fit."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from gradpipe.gradients.passes.limits import ACCELERATOR_SHARE, CPU_SHARE, RESERVE
from gradpipe.system.control_groups import container_memory
from gradpipe.system.failures import Cause, failed_with


@dataclass
class SavedBytes:
    """Bytes saved at once for the backward pass, without weights.

    ``forward`` are saved by the forward pass, ``recomputed`` by ``layers`` checkpointed layers
    during ``passes`` backward passes; one such layer exists at a time.
    """

    layers: int
    passes: int = 1
    forward: int = 0
    recomputed: int = 0

    @property
    def bytes(self) -> float:
        """Bytes of the forward pass and of one recomputed layer."""
        return self.forward + self.recomputed / max(1, self.layers * self.passes)


@contextmanager
def saved_bytes(model: Any, layers: int = 0, passes: int = 1) -> Iterator[SavedBytes]:
    """While open, count the bytes that autograd saves of ``model``'s passes on this thread.

    ``layers`` is the number of checkpointed layers, ``passes`` that of the backward passes.
    """
    saved = SavedBytes(layers, passes)
    # Not by address, which is reused after a tensor is freed.
    seen = {StorageWeakRef(parameter.untyped_storage()) for parameter in model.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        # An offloaded weight becomes a new parameter for each use.
        weight = any(isinstance(source, nn.Parameter) for source in (tensor, tensor._base))
        reference = StorageWeakRef(storage)
        if weight or reference in seen:
            return tensor
        seen.add(reference)
        if _in_backward():
            saved.recomputed += storage.nbytes()
        else:
            saved.forward += storage.nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        yield saved


def _in_backward() -> bool:
    """Return whether autograd runs a backward pass on this thread."""
    return int(torch._C._current_graph_task_id()) != -1


def tokens_that_fit(bytes_per_token: float, devices: list[str]) -> int:
    """Return how many tokens, at least 1, a batch may have in the free memory of ``devices``."""
    if devices[0].startswith("cpu"):
        usable = CPU_SHARE * free_memory("cpu")
    else:
        # A model on several devices keeps activations on the devices of its layers.
        usable = ACCELERATOR_SHARE * len(devices) * min(map(free_memory, devices)) - RESERVE
    return max(1, int(usable / max(bytes_per_token, 1.0)))


def free_memory(device: str) -> int:
    """Return the free bytes on a device."""
    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device.startswith("mps"):
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _free_cpu_memory()


def _free_cpu_memory() -> int:
    """Return the available bytes, within the container's limit if there is one."""
    free = int(psutil.virtual_memory().available)
    for limit, used in container_memory():
        free = min(free, max(limit - used, 0))
    return free


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a batch did not fit, on any kind of device."""
    return failed_with(error, Cause.OUT_OF_MEMORY)


def trim_heap() -> None:
    """Return freed memory to the system, if the C library is GNU's, which caches it.

    Blocks cached from smaller batches are too small for larger ones.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def make_room() -> None:
    """Free what a failed batch left in memory, on all devices."""
    gc.collect()
    trim_heap()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
