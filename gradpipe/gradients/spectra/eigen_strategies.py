"""Where the eigenvalues of matrices on a GPU are computed: there, on the CPU's cores, or on both.

Eigenvalues are the one part of the spectra that a GPU does not speed up for certain: batched
float64 eigenvalues of a few hundred rows may take many times an 8B model's passes, and consumer
cards compute float64 at 1/64 of their rate. The CPU's cores are idle during the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gradpipe.gradients.spectra.symmetric import symmetric_eigenvalues
from gradpipe.system.failures import Cause, failed_with

#: Returns the ascending eigenvalues [R, n] of symmetric matrices [R, n, n].
EigenSolver = Callable[[Tensor], Tensor]

#: Parts into which each thread's share of the matrices is divided.
PARTS_PER_THREAD = 4
_solver: ContextVar[EigenSolver | None] = ContextVar("eigen_solver", default=None)


def eigenvalues(matrices: Tensor) -> Tensor:
    """Return the ascending eigenvalues [R, n] of symmetric matrices [R, n, n] in float64.

    They are computed by the thread's solver (see ``solving_with``) and may then be on the CPU;
    without one, on the matrices' device.
    """
    solver = _solver.get()
    return symmetric_eigenvalues(matrices) if solver is None else solver(matrices)


@contextmanager
def solving_with(solver: EigenSolver | None) -> Iterator[None]:
    """Make ``solver`` the one that ``eigenvalues`` uses on this thread."""
    token = _solver.set(solver)
    try:
        yield
    finally:
        _solver.reset(token)


class EigenDevice(Protocol):
    """The device of the matrices, as the strategies need it."""

    def to_host(self, matrices: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """Start a copy to the CPU; return it, and a function that waits until it is complete."""

    def synchronize(self, matrices: Tensor) -> None:
        """Wait for the work that was queued on the device by this thread."""


class CudaDevice:
    """A CUDA device: copies go to pinned memory, on the thread's current stream."""

    def to_host(self, matrices: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """Queue the copy behind the products that make the matrices."""
        try:
            copy = torch.empty(matrices.shape, dtype=matrices.dtype, pin_memory=True)
        except RuntimeError as error:
            # A container may limit how much memory can be pinned; the device itself is not full.
            if not failed_with(error, Cause.OUT_OF_MEMORY):
                raise
            return matrices.cpu(), lambda: None
        copy.copy_(matrices, non_blocking=True)
        event = torch.cuda.current_stream(matrices.device).record_event()
        return copy, event.synchronize

    def synchronize(self, matrices: Tensor) -> None:
        """Wait for the thread's current stream."""
        torch.cuda.current_stream(matrices.device).synchronize()


class CpuDevice:
    """The CPU in the place of a GPU, for tests and small trials of the benchmark."""

    def to_host(self, matrices: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """Copy at once."""
        return matrices.clone(), lambda: None

    def synchronize(self, matrices: Tensor) -> None:
        """Do nothing: the CPU has no queue."""


class EigenStrategy(Protocol):
    """A way to compute the eigenvalues of matrices on a device; ``name`` is unique."""

    @property
    def name(self) -> str:
        """``on_device``, ``on_host`` or ``hybrid``."""

    def __call__(self, matrices: Tensor) -> Tensor:
        """Return the ascending eigenvalues [R, n], on the CPU."""


@dataclass(frozen=True)
class OnDevice:
    """Computes all matrices together on their device."""

    name: str = "on_device"

    def __call__(self, matrices: Tensor) -> Tensor:
        """Return the ascending eigenvalues [R, n], on the CPU."""
        values: Tensor = torch.linalg.eigvalsh(matrices)
        return values.cpu()


@dataclass(frozen=True)
class OnHost:
    """Computes a copy of the matrices on ``threads`` of the CPU, a few at a time."""

    executor: Executor
    threads: int
    device: EigenDevice
    name: str = "on_host"

    def start(self, matrices: Tensor) -> Callable[[], Tensor]:
        """Start the copy and the threads; the function that is returned waits for the values."""
        copy, wait = self.device.to_host(matrices)

        def solve(part: Tensor) -> Tensor:
            wait()
            values: Tensor = torch.linalg.eigvalsh(part)
            return values

        # Several parts per thread, so that no thread waits long for the last one.
        parts = copy.split(-(-len(copy) // (PARTS_PER_THREAD * self.threads)))
        futures = [self.executor.submit(solve, part) for part in parts]
        return lambda: torch.cat([future.result() for future in futures])

    def __call__(self, matrices: Tensor) -> Tensor:
        """Return the ascending eigenvalues [R, n], on the CPU."""
        return self.start(matrices)()


@dataclass(frozen=True)
class Hybrid:
    """Computes a share of the matrices on their device and the others on the CPU meanwhile."""

    on_device: EigenStrategy
    on_host: OnHost
    device_share: float
    name: str = "hybrid"

    def here(self, count: int) -> int:
        """How many of ``count`` matrices the device computes."""
        return round(self.device_share * count)

    def __call__(self, matrices: Tensor) -> Tensor:
        """Return the ascending eigenvalues [R, n], on the CPU."""
        here = self.here(len(matrices))
        if here == len(matrices):
            return self.on_device(matrices)
        others = self.on_host.start(matrices[here:])
        if not here:
            return others()
        return torch.cat((self.on_device(matrices[:here]), others()))
