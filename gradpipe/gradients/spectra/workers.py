"""Threads that compute spectra during or between the passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradpipe.gradients.spectra.eigen_chooser import eigen_solver
from gradpipe.gradients.spectra.eigen_strategies import EigenSolver, solving_with
from gradpipe.gradients.spectra.lapack import single_threaded
from gradpipe.gradients.spectra.sizes import GRAM_MATRICES, WORKSPACE
from gradpipe.gradients.spectra.sketches import Sketcher

JobResult = TypeVar("JobResult")

#: Layers whose jobs run at once on the CPU. Jobs of many rows take less time per row than those of
#: one, so rows are divided only where there are more threads than these layers keep busy.
LAYERS_AT_ONCE = 4
#: Jobs at once on a CUDA device: while one waits for eigenvalues from the CPU, another makes the
#: next matrices.
DEVICE_JOBS = 2


@dataclass
class SpectraPool:
    """Threads that compute spectra, and how they share the machine with the passes.

    On the CPU (``concurrent`` is false), passes and spectra take turns, since both would use the
    same cores: jobs are held until there are ``at_once`` of them. On an accelerator, the jobs run
    during the passes on their own stream, so that waiting for eigenvalues does not block the
    backward pass; up to ``in_flight`` jobs may hold factors. A ``solver`` computes the jobs'
    eigenvalues; None computes them where the matrices are. With a ``sketcher``, gradients are also
    compared and sketched. ``threads`` is the number of jobs that share the rows of a batch.
    """

    executor: Executor
    threads: int
    concurrent: bool
    sketcher: Sketcher | None = None
    solver: EigenSolver | None = None
    _streams: dict[Any, Any] = field(default_factory=dict)

    @property
    def _jobs_of_a_layer(self) -> int:
        """One for Q, K and V, one for O, and possibly a comparison."""
        return 2 if self.sketcher is None else 3

    @property
    def _parts(self) -> int:
        """The jobs among which a layer's rows are divided on the CPU."""
        return max(1, self.threads // LAYERS_AT_ONCE)

    @property
    def at_once(self) -> int:
        """Number of jobs that are worth stopping the passes for."""
        if self.concurrent:
            return 1
        layers = min(max(2, self.threads), LAYERS_AT_ONCE)
        return self._jobs_of_a_layer * layers * self._parts

    @property
    def in_flight(self) -> int:
        """Number of jobs that may be unfinished when the passes continue."""
        return 2 * self._jobs_of_a_layer if self.concurrent else 0

    def rows_of_a_job(self, rows: int, tokens: int) -> int:
        """Return how many of a batch's rows, of up to ``tokens`` tokens, go into one job.

        As many as possible, so long as every thread has work and the workspace suffices. On the
        CPU, up to LAYERS_AT_ONCE threads have different layers.
        """
        if not self.concurrent:
            return -(-rows // self._parts)
        return max(1, WORKSPACE // (GRAM_MATRICES * 8 * tokens**2))

    def submit(self, job: Callable[[], JobResult], on: Tensor) -> Future[JobResult]:
        """Run ``job`` on a thread, after the work queued so far on the device of ``on``."""
        if on.device.type != "cuda":
            return self.executor.submit(self._solve, job)
        queued = torch.cuda.current_stream(on.device).record_event()
        # One stream per device, kept because the allocator caches memory per stream.
        if on.device not in self._streams:
            self._streams[on.device] = torch.cuda.Stream(on.device)
        return self.executor.submit(self._on_stream, job, self._streams[on.device], queued)

    def _solve(self, job: Callable[[], JobResult]) -> JobResult:
        with solving_with(self.solver):
            return job()

    def _on_stream(self, job: Callable[[], JobResult], stream: Any, queued: Any) -> JobResult:
        with torch.cuda.device(stream.device), torch.cuda.stream(stream):
            stream.wait_event(queued)
            result = self._solve(job)
            # The job's factors may be freed, and their memory reused, once this returns.
            stream.synchronize()
            return result


@contextmanager
def spectra_pool(
    device: str, aligned: bool = False, sketched: bool = True, executor: Executor | None = None
) -> Iterator[SpectraPool]:
    """Open the threads for a model on ``device``; ``aligned`` adds comparisons and sketches.

    Without ``sketched``, it adds comparisons only. An ``executor`` takes one job at a time, instead
    of threads that are opened here.

    On the CPU, each thread computes alone: an eigenvalue problem of a few hundred rows gains little
    from a second thread and loses up to tenfold on a busy machine (measured at 500 rows: 0.015 s on
    one thread, 0.04 to 0.2 s on two).
    """
    concurrent = not device.startswith("cpu")
    threads = 1 if concurrent or executor else os.cpu_count() or 1
    with ExitStack() as stack:
        if not concurrent:
            stack.enter_context(single_threaded())
        solver = stack.enter_context(eigen_solver(device))
        # Torch's number of threads is set per thread, so the passes keep theirs.
        executor = executor or stack.enter_context(
            ThreadPoolExecutor(
                DEVICE_JOBS if device.startswith("cuda") else threads,
                initializer=torch.set_num_threads,
                initargs=(1,),
            )
        )
        sketcher = Sketcher(kept=sketched) if aligned else None
        yield SpectraPool(executor, threads, concurrent, sketcher, solver)
