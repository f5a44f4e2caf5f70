"""What writes the steps of a probe into a workspace, as seen from the library below it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol as Interface

import polars as pl

from gradpipe.gradients.protocol import Protocol
from gradpipe.studies.study import Study

#: The module above the library that implements this interface. It is imported by its name, when a
#: workspace is opened: the library itself imports nothing above it. The name is that for processes
#: of others, since a training script may have a module ``storage`` of its own.
WORKSPACE_RECORDER = "gradpipe.pipeline.storage.step_recorder"


class StepRecorder(Interface):
    """Writes the rows of steps, and knows which examples a step has."""

    @property
    def examples(self) -> pl.DataFrame:
        """The examples of every step (EXAMPLE_SCHEMA), in their order."""

    @property
    def model_id(self) -> str:
        """What the study calls the model; the "paper" protocol looks for "gemma" in it."""

    @property
    def protocol(self) -> Protocol:
        """How the examples become tokens and a loss."""

    def record(
        self, step: int, rows: pl.DataFrame, *, identity: str, notes: Sequence[str] = ()
    ) -> None:
        """Write the rows (ROW_SCHEMA) of one step; ``row`` is the position in ``examples``.

        ``identity`` is a hash of the step's weights. ``notes`` say what is done beyond the chat
        template. A step that was recorded before is replaced.
        """


def open_recorder(
    workspace: str | Path, study: Study | None, series: str, folder: str = ""
) -> StepRecorder:
    """The recorder of a series in a workspace: a folder or a URL.

    With a ``study``, the workspace becomes one of this study if it has none yet. ``folder`` is the
    training's output folder. Raises GradpipeError if the workspace cannot be used, or holds another
    study.
    """
    recorder: StepRecorder = import_module(WORKSPACE_RECORDER).WorkspaceStepRecorder(
        workspace, study, series, folder
    )
    return recorder
