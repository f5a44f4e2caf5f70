"""The accelerator: the one model that is in memory, and how far the extraction on it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

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
        self._held: tuple[tuple[object, ...], LoadedModel] | None = None

    def load(self, source: ModelSource, name: str, fingerprint: str, dtype: str) -> LoadedModel:
        """The model, from memory where it is the one that was used last."""
        from gradpipe.models.load import load_source

        identity = (source, fingerprint, dtype)
        if self._held is None or self._held[0] != identity:
            self._held = None
            self._held = identity, load_source(source, name, dtype)
        return self._held[1]

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
