"""The threads that take spectra while, or between, the passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradpipe.gradients.spectra.sizes import GRAM_MATRICES, WORKSPACE
from gradpipe.gradients.spectra.sketches import Sketcher

Found = TypeVar("Found")


@dataclass
class SpectraPool:
    """Threads that take spectra, and how they share the machine with the passes.

    On the CPU (``beside`` is false) passes and spectra take turns, since they would fight for the
    same cores: jobs are held until there are ``at_once`` of them, one matrix a core. On an
    accelerator one thread works beside the passes, on a stream of its own: waiting for an
    eigenvalue problem does not hold up the backward pass, and ``in_flight`` jobs may hold factors.
    With a ``sketcher``, gradients are compared and sketched too.
    """

    executor: Executor
    threads: int
    beside: bool
    sketcher: Sketcher | None = None
    _streams: dict[Any, Any] = field(default_factory=dict)

    @property
    def _two_layers(self) -> int:
        """Jobs of two layers: each has one for Q, K and V and one for O, and a comparison."""
        return 4 if self.sketcher is None else 6

    @property
    def at_once(self) -> int:
        """Jobs that are worth stopping the passes for."""
        return 1 if self.beside else self._two_layers * self.threads

    @property
    def in_flight(self) -> int:
        """Jobs that may be unfinished when the passes go on."""
        return self._two_layers if self.beside else 0

    def rows_of_a_job(self, rows: int, tokens: int) -> int:
        """How many of a batch's rows of up to ``tokens`` tokens one job takes together.

        Few calls on large stacks, as far as every thread gets its part and the workspace holds.
        """
        if not self.beside:
            return -(-rows // self.threads)
        return max(1, WORKSPACE // (GRAM_MATRICES * 8 * tokens**2))

    def submit(self, job: Callable[[], Found], on: Tensor) -> Future[Found]:
        """Run ``job`` on a thread, after all that was asked of the device where ``on`` lies."""
        if on.device.type != "cuda":
            return self.executor.submit(job)

        asked = torch.cuda.current_stream(on.device).record_event()
        return self.executor.submit(self._on_own_stream, job, on.device, asked)

    def _on_own_stream(self, job: Callable[[], Found], device: Any, asked: Any) -> Found:
        # One for each device, and kept: the allocator's cache belongs to the stream.
        if device not in self._streams:
            self._streams[device] = torch.cuda.Stream(device)
        stream = self._streams[device]
        with torch.cuda.device(device), torch.cuda.stream(stream):
            stream.wait_event(asked)
            found = job()
            # The job's factors may be dropped, and their memory used again, when this returns.
            stream.synchronize()
            return found


@contextmanager
def spectra_pool(device: str, aligned: bool = False) -> Iterator[SpectraPool]:
    """The threads for a model on ``device``; ``aligned``: gradients are compared and sketched too.

    On the CPU an eigenvalue problem of a few hundred rows gains little from a second thread, and
    loses tenfold where the two wait for each other on a busy machine (measured at 500: 0.015 s on
    one thread, 0.04 to 0.2 s on two).
    """
    beside = not device.startswith("cpu")
    threads = 1 if beside else os.cpu_count() or 1
    # The number of threads is a setting of each thread: the passes keep all of theirs.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as executor:
        yield SpectraPool(executor, threads, beside, Sketcher() if aligned else None)
