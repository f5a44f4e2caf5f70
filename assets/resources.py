"""The resources: the workspace, and the accelerator with the model that it keeps in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from gradpipe.errors import GradpipeError, WorkspaceError
from gradpipe.gradients.rows import Progress
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from storage.locations import open_location
from storage.study_workspaces import holds_exactly, other_study, own_workspace
from storage.workspace import Workspace

if TYPE_CHECKING:
    from gradpipe.engines.cluster import RayEngine
    from gradpipe.engines.work import Work
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.source import ModelSource
    from gradpipe.studies.study import Study

#: Seconds between two log lines of a long extraction.
LOG_INTERVAL = 5.0


class WorkspaceResource:
    """The workspace of assets, sensors and schedules, by default the one that GRADPIPE_HOME names.

    It is opened at each use, not on import: opening may make a folder or raise WorkspaceError.
    """

    def __init__(self, workspace: Workspace | None = None) -> None:
        self._workspace = workspace

    def open(self) -> Workspace:
        """The workspace; raises WorkspaceError if it cannot be used."""
        return self._workspace or Workspace.current()


class StudyWorkspace(WorkspaceResource):
    """The workspace of a study that is part of the code.

    ``location`` is a folder or URL, by default the folder of the study's name in the workspace that
    GRADPIPE_HOME names. The workspace is given the study at each use, in case the code has changed.
    """

    def __init__(self, study: Study, location: str | None = None) -> None:
        super().__init__()
        self._study = study
        self._location = location

    def open(self) -> Workspace:
        """The workspace; raises WorkspaceError if it holds another study or cannot be used."""
        if self._location is None:
            workspace = own_workspace(Workspace.current(), self._study)
        else:
            workspace = Workspace(open_location(self._location))
            if (other := other_study(workspace, self._study)) is not None:
                raise WorkspaceError(
                    f"The workspace {workspace.root} holds the study {other!r}, not "
                    f"{self._study.name!r}: give each study a workspace of its own."
                )
        if not holds_exactly(workspace, self._study):
            workspace.keep_study(self._study)
        return workspace


class Accelerator:
    """Keeps the last model loaded, so that its next benchmark need not load it again.

    ``on_progress`` is called with (model, benchmark, progress) after every batch.
    """

    def __init__(self, on_progress: Callable[[str, str, Progress], None] | None = None) -> None:
        self.on_progress = on_progress
        self._held: tuple[tuple[object, ...], LoadedModel] | None = None
        #: The held model if its weights were copied out of their files.
        self._detached: LoadedModel | None = None
        self._cluster: RayEngine | None = None

    def extract(self, work: Work, study: Study) -> None:
        """Compute every row of the work and store it, with the study's engine.

        With ``ray``, no model is loaded in this process.
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
        if work.rewritable:
            self._detach_from_files(loaded, work)
        extract_here(loaded, work)

    def _detach_from_files(self, loaded: LoadedModel, work: Work) -> None:
        from gradpipe.models.private_weights import copy_weights

        if self._detached is not loaded:
            self._detached = None
            try:
                copy_weights(loaded, work.source, work.fingerprint)
            except GradpipeError:
                self._held = None
                raise
            self._detached = loaded

    def close(self) -> None:
        """Disconnect from the cluster, if any; the model in this process stays loaded."""
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
        """Return the model, which stays in memory until another model or layout is loaded.

        Raises a transient ModelError if its files changed since ``fingerprint``: the rows would be
        stored under the keys of the earlier weights.
        """
        from gradpipe.gradients.passes.memory import make_room
        from gradpipe.models.load import load_source
        from gradpipe.models.private_weights import changed_files_error

        identity = (source, fingerprint, dtype, placement)
        if self._held is not None and self._held[0] != identity:
            # A model on several devices and its hooks refer to each other: only make_room frees it.
            self._held = self._detached = None
            make_room()
        if self._held is None:
            loaded = load_source(source, name, dtype, placement)
            if loaded.fingerprint != fingerprint:
                raise changed_files_error(name)
            self._held = identity, loaded
        return self._held[1]

    def reporter(
        self, context: dg.AssetExecutionContext, model: str, benchmark: str
    ) -> Callable[[Progress], None]:
        """Return a function that passes progress to ``on_progress`` and to Dagster's log."""
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
                            "all_rows": progress.all_rows,
                            "tokens_per_second": round(rate, 1),
                        },
                    )
                )

        return report
