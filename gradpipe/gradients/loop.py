"""Batch after batch through the model, as large as memory allows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from logging import getLogger

from gradpipe.gradients.passes.batches import FIRST_BUDGET, Batch, most_tokens, plan_batches
from gradpipe.gradients.passes.checkpointing import checkpointed, decoder_layers
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
from gradpipe.gradients.spectra.workers import SpectraPool, spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import devices, offloaded
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection


@dataclass(frozen=True)
class Done:
    """A batch that is through, in ``seconds``; ``gradients`` are None where one row did not fit."""

    batch: Batch
    gradients: list[RowGradients] | None
    seconds: float


class BatchLoop:
    """The usable ``rows`` of an extraction, in batches of at most ``budget`` padded tokens.

    Without a budget, the first batch is a small one that measures what a token takes, and the
    others are as large as the free memory allows. Where one does not fit after all, the budget is
    halved, down to one row; a row that does not fit alone comes out without gradients. ``aligned``:
    gradients are compared and sketched too.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        projections: list[Projection],
        rows: list[TokenRow],
        budget: int | None = None,
        *,
        aligned: bool = True,
    ) -> None:
        self.loaded = loaded
        self.aligned = aligned
        self.projections = projections
        self.rows = rows
        #: Whether each layer's activations are computed twice rather than kept.
        self.twice = loaded.checkpointing or offloaded(loaded.model)
        self.measured = budget is not None
        self._most = most_tokens(rows, loaded.device.startswith("cpu"))
        self.budget = min(FIRST_BUDGET, self._most) if budget is None else budget
        self._waiting = deque(plan_batches(rows, self.budget))
        self._last_tokens = 0
        self._faults = FaultFinder(loaded.model)
        self._warned = False

    def run(self) -> Iterator[Done]:
        """Every batch once, longest rows first; the model is frozen meanwhile."""
        model = self.loaded.model
        with ExitStack() as stack:
            stack.enter_context(frozen(model))
            if self.twice:
                stack.enter_context(checkpointed(model, self.projections))
            stack.enter_context(fused_blocks(model))
            stack.enter_context(faster_linears(model))
            pool = stack.enter_context(spectra_pool(self.loaded.device, self.aligned))
            while self._waiting:
                batch = self._waiting.popleft()
                started = time.perf_counter()
                self._trim_before(batch)
                try:
                    gradients = self._gradients(batch, pool)
                except Exception as error:
                    if not out_of_memory(error):
                        raise
                    gradients = None
                # Only here, behind the exception, has its traceback let go of the batch's tensors.
                if gradients is None:
                    make_room()
                    if len(batch.rows) > 1:
                        self._halve(batch)
                        continue
                yield Done(batch, gradients, time.perf_counter() - started)

    def _gradients(self, batch: Batch, pool: SpectraPool) -> list[RowGradients]:
        members = [self.rows[number] for number in batch.rows]
        model = self.loaded.model
        layers = len(decoder_layers(model, self.projections)) if self.twice else 0
        with nullcontext() if self.measured else saved_bytes(model, layers) as saved:
            gradients = run_batch(model, self.projections, members, pool)
        if saved is not None and any(each.spectra for each in gradients):
            self._learn(saved.bytes / batch.tokens)
        return [self._explained(*each) for each in zip(members, gradients, strict=True)]

    def _explained(self, row: TokenRow, gradients: RowGradients) -> RowGradients:
        """A row's gradients; where they are not finite, with the place where that begins."""
        if gradients.finite:
            return gradients
        gradients = replace(gradients, origin=self._faults.origin(row, gradients.loss))
        if not self._warned:
            # Of days of work, the first hour should show it.
            getLogger(__name__).warning("a row cannot be used: %s", gradients.reason)
            self._warned = True
        return gradients

    def _trim_before(self, batch: Batch) -> None:
        """Give memory back before a batch that is larger than the last one.

        Those are few, longest rows first; at each batch it would take a tenth of the time.
        """
        if batch.tokens > self._last_tokens:
            trim_heap()
        self._last_tokens = batch.tokens

    def _learn(self, bytes_per_token: float) -> None:
        """Plan what is left for the memory that is free."""
        self.measured = True
        fitting = tokens_that_fit(bytes_per_token, devices(self.loaded.model))
        self._plan(min(self._most, fitting))

    def _halve(self, batch: Batch) -> None:
        self._waiting.appendleft(batch)
        self.measured = True
        self._plan(max(1, batch.tokens // 2))

    def _plan(self, budget: int) -> None:
        left = [number for batch in self._waiting for number in batch.rows]
        self.budget = budget
        self._waiting = deque(plan_batches(self.rows, budget, left))
