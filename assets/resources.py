"""The accelerator: the model that is in memory, here or on a cluster, and how far its rows are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from gradpipe.gradients.rows import Progress
from gradpipe.models.placement import IN_ONE_PIECE, Placement

if TYPE_CHECKING:
    from gradpipe.engines.cluster import RayEngine
    from gradpipe.engines.work import Work
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.source import ModelSource
    from gradpipe.studies.study import Study

#: Seconds between two log lines of a long extraction.
LOG_INTERVAL = 5.0


class Accelerator:
    """Keeps the last model loaded, so that its next benchmark need not load it again.

    ``on_progress`` is told (model, benchmark, progress) after every batch.
    """

    def __init__(self, on_progress: Callable[[str, str, Progress], None] | None = None) -> None:
        self.on_progress = on_progress
        self._held: tuple[tuple[object, ...], LoadedModel] | None = None
        self._cluster: RayEngine | None = None

    def extract(self, work: Work, study: Study) -> None:
        """Every row of the work into its store, by the study's engine.

        With ``ray`` no model is loaded in this process.
        """
        if study.engine == "ray":
            from gradpipe.engines.cluster import RayEngine

            if self._cluster is None or self._cluster.settings != study.ray:
                self.close()
                self._cluster = RayEngine(study.ray)
            self._cluster.extract(work)
            return
        from gradpipe.engines.local import extract_here

        loaded = self.load(
            work.source, work.name, work.fingerprint, work.protocol.dtype, work.placement
        )
        extract_here(loaded, work)

    def close(self) -> None:
        """Give back what is held of a cluster; the model in this process stays."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def load(
        self,
        source: ModelSource,
        name: str,
        fingerprint: str,
        dtype: str,
        placement: Placement = IN_ONE_PIECE,
    ) -> LoadedModel:
        """The model, from memory where it is the one that was used last, laid out as it was."""
        from gradpipe.gradients.passes.memory import make_room
        from gradpipe.models.load import load_source

        identity = (source, fingerprint, dtype, placement)
        if self._held is not None and self._held[0] != identity:
            # A model on several devices and its hooks refer to each other: only make_room ends it.
            self._held = None
            make_room()
        if self._held is None:
            self._held = identity, load_source(source, name, dtype, placement)
        return self._held[1]

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
