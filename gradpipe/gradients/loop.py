"""Run batches through the model, as large as memory allows."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from logging import getLogger

from gradpipe.gradients.passes.batches import FIRST_BUDGET, Batch, most_tokens, plan_batches
from gradpipe.gradients.passes.checkpointing import checkpointed, decoder_layers, shared_keys_error
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.fast_linear import faster_linears
from gradpipe.gradients.passes.fused_blocks import fused_blocks
from gradpipe.gradients.passes.memory import (
    make_room,
    out_of_memory,
    saved_bytes,
    tokens_that_fit,
    trim_heap,
)
from gradpipe.gradients.passes.nonfinite import FaultFinder
from gradpipe.gradients.passes.run_batch import RowGradients, run_batch
from gradpipe.gradients.passes.span_passes import count_passes
from gradpipe.gradients.side_by_side import (
    SideBySide,
    Timed,
    possible_batches,
    side_by_side,
)
from gradpipe.gradients.spectra.unused_projections import UnusedProjections
from gradpipe.gradients.spectra.workers import SpectraPool, spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import devices, offloaded
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection


@dataclass(frozen=True)
class FinishedBatch:
    """A finished batch and its ``seconds``; ``gradients`` is None if a single row did not fit."""

    batch: Batch
    gradients: list[RowGradients] | None
    seconds: float


class BatchLoop:
    """Run the usable ``rows`` in batches of at most ``budget`` padded tokens.

    Without a budget, a small first batch measures the memory per token; later batches are as large
    as the free memory allows. On a CPU, further batches run side by side where they fit. If a batch
    does not fit, batches run one at a time, and the budget is halved, down to one row. A row that
    does not fit alone is yielded without gradients. With ``aligned``, gradients are also compared
    and, with ``sketched``, sketched.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        projections: list[Projection],
        rows: list[TokenRow],
        budget: int | None = None,
        *,
        aligned: bool = True,
        sketched: bool = True,
    ) -> None:
        self.loaded = loaded
        self.aligned = aligned
        self.sketched = sketched
        self.projections = projections
        self.rows = rows
        #: Whether activations are recomputed in the backward pass (gradient checkpointing).
        self.twice = loaded.checkpointing or offloaded(loaded.model)
        self.measured = budget is not None
        self._most = most_tokens(rows, loaded.device.startswith("cpu"))
        self.budget = min(FIRST_BUDGET, self._most) if budget is None else budget
        self._waiting = deque(plan_batches(rows, self.budget))
        #: How many batches may run at once, and the tokens of all of them that fit in memory.
        on_cpu = loaded.device.startswith("cpu") and not self.twice
        self._beside = possible_batches() if on_cpu else 1
        self._fitting: float = math.inf
        self._largest = 0
        self._faults = FaultFinder(loaded.model)
        self._warned = False
        #: Whether some batch has had gradients at all ``projections``.
        self._passed = False

    def run(self) -> Iterator[FinishedBatch]:
        """Yield each batch once, longest rows first; the model is frozen meanwhile."""
        with frozen(self.loaded.model):
            yield from self._one_at_a_time(until=self._may_share)
            if self._waiting:
                yield from self._side_by_side()
            yield from self._one_at_a_time()

    def _may_share(self) -> bool:
        """Whether several batches may run at once: the first one has shown what they take."""
        known = self.measured and self._passed
        return known and self._beside > 1 and len(self._waiting) > 1

    def _one_at_a_time(self, until: Callable[[], bool] = lambda: False) -> Iterator[FinishedBatch]:
        """Run the waiting batches on all cores; stop as soon as ``until`` is true."""
        model = self.loaded.model
        if not self._waiting:
            return
        with ExitStack() as stack:
            if self.twice:
                stack.enter_context(checkpointed(model, self.projections))
            stack.enter_context(fused_blocks(model))
            stack.enter_context(faster_linears(model))
            pool = stack.enter_context(
                spectra_pool(self.loaded.device, self.aligned, self.sketched)
            )
            while self._waiting and not until():
                batch = self._waiting.popleft()
                started = time.perf_counter()
                self._trim_before(batch)
                try:
                    gradients = self._gradients(batch, pool)
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                    gradients = None
                # The traceback references the batch's tensors until the except block ends.
                if gradients is None:
                    make_room()
                    if len(batch.rows) > 1:
                        self._halve(batch)
                        continue
                yield FinishedBatch(batch, gradients, time.perf_counter() - started)

    def _side_by_side(self) -> Iterator[FinishedBatch]:
        """Run the waiting batches on shares of the cores; end with a batch that does not fit."""
        settings = {"aligned": self.aligned, "sketched": self.sketched}
        running: deque[tuple[Batch, Future[Timed]]] = deque()
        too_large: list[Batch] = []
        with side_by_side(self.loaded.model, self.projections, run_batch, **settings) as threads:
            if threads is None:
                return
            self._start(threads, running)
            while running:
                batch, future = running.popleft()
                finished = self._finished(batch, future)
                if finished is None:
                    too_large.append(batch)
                if not too_large:
                    self._start(threads, running)
                if finished is not None:
                    yield finished
        self._waiting.extendleft(reversed(too_large))

    def _start(self, threads: SideBySide, running: deque[tuple[Batch, Future[Timed]]]) -> None:
        """Start waiting batches while there is a thread and memory for one more."""
        while self._waiting and len(running) < threads.count:
            batch = self._waiting[0]
            tokens = batch.tokens + sum(other.tokens for other, _ in running)
            if running and tokens > self._fitting:
                return
            self._trim_before(batch)
            rows = [self.rows[number] for number in self._waiting.popleft().rows]
            running.append((batch, threads.submit(rows)))

    def _finished(self, batch: Batch, future: Future[Timed]) -> FinishedBatch | None:
        """Wait for a batch; None if it did not fit beside the others."""
        try:
            gradients, seconds = future.result()
        except Exception as error:
            if not out_of_memory(error):
                raise
            return None
        members = [self.rows[number] for number in batch.rows]
        explained = [self._explained(*pair) for pair in zip(members, gradients, strict=True)]
        return FinishedBatch(batch, explained, seconds)

    def _gradients(self, batch: Batch, pool: SpectraPool) -> list[RowGradients]:
        members = [self.rows[number] for number in batch.rows]
        model = self.loaded.model
        layers = len(decoder_layers(model, self.projections)) if self.twice else 0
        passes = count_passes(members)
        with nullcontext() if self.measured else saved_bytes(model, layers, passes) as saved:
            gradients = self._run(members, pool)
        if saved is not None and any(row.spectra for row in gradients):
            self._set_budget(saved.bytes / batch.tokens)
        return [self._explained(*pair) for pair in zip(members, gradients, strict=True)]

    def _run(self, rows: list[TokenRow], pool: SpectraPool) -> list[RowGradients]:
        """Run a batch; the first one shows which projections text does not pass: they are gaps.

        Layers for images are such, and keys in a layer that uses those of another layer.
        """
        model = self.loaded.model
        try:
            gradients = run_batch(model, self.projections, rows, pool)
        except UnusedProjections as unused:
            used = [p for p in self.projections if (p.layer, p.name) not in unused.places]
            if self._passed or {p.name for p in used} < {p.name for p in self.projections}:
                raise
            queries = {p.layer for p in used if p.name == "q"}
            if self.twice and any(n == "k" and layer in queries for layer, n in unused.places):
                raise shared_keys_error() from unused
            self.projections = used
            gradients = run_batch(model, used, rows, pool)
        self._passed = self._passed or any(row.spectra for row in gradients)
        return gradients

    def _explained(self, row: TokenRow, gradients: RowGradients) -> RowGradients:
        """Add the ``origin`` of non-finite values to a row's gradients; log the first such row."""
        if gradients.finite:
            return gradients
        gradients = replace(gradients, origin=self._faults.origin(row, gradients.loss))
        if not self._warned:
            # Logged once and at once: long runs should show such a fault early.
            getLogger(__name__).warning("a row is unusable: %s", gradients.reason)
            self._warned = True
        return gradients

    def _trim_before(self, batch: Batch) -> None:
        """Return freed memory to the system before a batch larger than all previous ones.

        Few batches are, since the longest rows come first. Pages that are returned have to be
        cleared again: before every batch, that would take a tenth of the time.
        """
        if batch.tokens > self._largest:
            trim_heap()
            self._largest = batch.tokens

    def _set_budget(self, bytes_per_token: float) -> None:
        """Plan the remaining batches for the free memory."""
        self.measured = True
        fitting = tokens_that_fit(bytes_per_token, devices(self.loaded.model))
        self._fitting = fitting
        self._plan(max(1, min(self._most, fitting // self._beside)))

    def _halve(self, batch: Batch) -> None:
        self._waiting.appendleft(batch)
        self.measured = True
        self._plan(max(1, batch.tokens // 2))

    def _plan(self, budget: int) -> None:
        left = [number for batch in self._waiting for number in batch.rows]
        self.budget = budget
        self._waiting = deque(plan_batches(self.rows, budget, left))
