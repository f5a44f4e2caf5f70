"""The accelerator: the one model that is in memory, and how far the extraction on it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from assets.retries import out_of_memory
from gradpipe.gradients.batches import TOKEN_BUDGET
from gradpipe.gradients.extract import Progress

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.source import ModelSource

#: Seconds between two log lines of a long extraction.
LOG_INTERVAL = 5.0


class Accelerator:
    """Keeps the last model loaded, so that its next benchmark need not load it again.

    ``on_progress`` is told (model, benchmark, progress) after every batch.
    """

    def __init__(self, on_progress: Callable[[str, str, Progress], None] | None = None) -> None:
        self.on_progress = on_progress
        #: Tokens of a batch of the model that is held.
        self.budget = TOKEN_BUDGET
        self._held: tuple[tuple[object, ...], LoadedModel] | None = None

    def load(self, source: ModelSource, name: str, fingerprint: str, dtype: str) -> LoadedModel:
        """The model, from memory where it is the one that was used last."""
        from gradpipe.models.load import load_source

        identity = (source, fingerprint, dtype)
        if self._held is None or self._held[0] != identity:
            self._held, self.budget = None, TOKEN_BUDGET
            self._held = identity, load_source(source, name, dtype)
        return self._held[1]

    @contextmanager
    def halving(self) -> Iterator[int]:
        """The token budget for an extraction; where its memory is too small, half for the next."""
        try:
            yield self.budget
        except Exception as error:
            if out_of_memory(error):
                self.budget = max(1, self.budget // 2)
            raise

    def make_room(self) -> None:
        """Give back what a failed batch left in the device's memory."""
        import gc

        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def reporter(
        self, context: dg.AssetExecutionContext, model: str, benchmark: str
    ) -> Callable[[Progress], None]:
        """Tells the listener, and Dagster's log every few seconds, how far an extraction is."""
        started = last = time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal last
            if self.on_progress:
                self.on_progress(model, benchmark, progress)
            now = time.monotonic()
            if now - last >= LOG_INTERVAL:
                last = now
                rate = progress.tokens / (now - started)
                context.log.info(
                    f"{progress.rows} of {progress.all_rows} rows, {rate:.0f} tokens/s"
                )
                context.log_event(
                    dg.AssetObservation(
                        context.asset_key,
                        partition=context.partition_key,
                        metadata={
                            "rows": progress.rows,
                            "of": progress.all_rows,
                            "tokens_per_second": round(rate, 1),
                        },
                    )
                )

        return report
