"""Batches that run at once on a CPU, each on its share of the cores.

A batch that runs on all cores leaves many idle: small operations take one core, and at the end of
each product the others wait. Batches side by side have no such gaps, and no turns of passes and
spectra: on two cores, bare passes over 100 to 500 tokens take 0.8 of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Event
from typing import Any, NamedTuple

import torch

from gradpipe.gradients.passes.fast_linear import faster_linears
from gradpipe.gradients.passes.fused_blocks import fused_blocks
from gradpipe.gradients.passes.replicas import Replica, replicate
from gradpipe.gradients.passes.run_batch import RowGradients
from gradpipe.gradients.spectra.workers import SpectraPool, spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import Projection

#: Most batches at once. More would wait for each other in the interpreter.
MOST_SIDE_BY_SIDE = 8

#: Runs a batch through a model: ``run_batch``.
RunBatch = Callable[[Any, list[Projection], list[TokenRow], SpectraPool], list[RowGradients]]


class Timed(NamedTuple):
    """The gradients of a batch's rows, and the seconds that it took of all cores."""

    gradients: list[RowGradients]
    seconds: float


class OnTheSameThread(Executor):
    """Runs each job when it is submitted; raises CancelledError once ``stop`` is set."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a job that has ended."""
        if self._stop.is_set():
            raise CancelledError
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class SideBySide:
    """Runs up to ``count`` batches at once, each with a replica of its own."""

    def __init__(
        self, executor: Executor, run: RunBatch, workers: list[tuple[Replica, SpectraPool]]
    ) -> None:
        self._executor = executor
        self._run = run
        self.count = len(workers)
        self._idle: SimpleQueue[tuple[Replica, SpectraPool]] = SimpleQueue()
        for worker in workers:
            self._idle.put(worker)

    def submit(self, rows: list[TokenRow]) -> Future[Timed]:
        """Run a batch as soon as a replica is idle."""
        return self._executor.submit(self._timed, rows)

    def _timed(self, rows: list[TokenRow]) -> Timed:
        started = time.perf_counter()
        worker = self._idle.get()
        try:
            (model, projections), pool = worker
            gradients = self._run(model, projections, rows, pool)
        finally:
            self._idle.put(worker)
        return Timed(gradients, (time.perf_counter() - started) / self.count)


def possible_batches() -> int:
    """Return how many batches may run at once with torch's number of threads."""
    return min(MOST_SIDE_BY_SIDE, torch.get_num_threads())


@contextmanager
def side_by_side(
    model: Any,
    projections: list[Projection],
    run: RunBatch,
    *,
    aligned: bool,
    sketched: bool,
) -> Iterator[SideBySide | None]:
    """Open replicas of a frozen model on the CPU, and their threads; None if it has no replicas.

    The threads divide torch's number of threads among them. On exit, batches that still run end
    with their next layer.
    """
    replicas = replicate(model, projections, possible_batches())
    if not replicas:
        yield None
        return
    threads = max(1, torch.get_num_threads() // len(replicas))
    stop = Event()
    with ExitStack() as stack:
        workers = []
        for replica in replicas:
            stack.enter_context(fused_blocks(replica.model))
            stack.enter_context(faster_linears(replica.model))
            executor = OnTheSameThread(stop)
            pool = stack.enter_context(spectra_pool("cpu", aligned, sketched, executor))
            workers.append((replica, pool))
        batches = ThreadPoolExecutor(len(workers), "batch", torch.set_num_threads, (threads,))
        stack.callback(batches.shutdown, cancel_futures=True)
        stack.callback(stop.set)
        yield SideBySide(batches, run, workers)
