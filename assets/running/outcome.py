"""The outcome of a run: counts per stage, and failures with their causes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.dagster_workarounds.fatal_errors import fatal_error
from assets.planning.plan import Unit
from gradpipe import errors
from storage.workspace import Workspace


@dataclass
class StageCount:
    """What one stage did: rows, examples or partitions computed and reused."""

    computed: int = 0
    reused: int = 0


@dataclass(frozen=True)
class StageFailure:
    """A stage that failed on a partition, and why; ``stage`` is empty if the unit was skipped.

    ``damaged``: it found damaged files, which have been renamed so that another pass can fix it.
    """

    unit: Unit
    stage: str
    reason: str
    damaged: bool = False

    def __str__(self) -> str:
        """As in ``gradient_spectra of m × b failed: the reason.``"""
        label = self.unit.label or "the study"
        event = f"{self.stage} of {label} failed" if self.stage else f"{label} was skipped"
        return f"{event}: {self.reason}"


def step_failures(
    outcome: dg.ExecuteInProcessResult, workspace: Workspace
) -> Iterator[tuple[str, Any]]:
    """Yield each failed step of a run with its error.

    Raises KeyboardInterrupt if the run was interrupted, and an error that concerns every run.
    """
    for failure in outcome.filter_events(lambda event: event.is_step_failure):
        error: Any = failure.step_failure_data.error
        if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            # An interrupt within a step is reported as a failure of that run.
            raise KeyboardInterrupt
        if fatal := fatal_error(error, workspace):
            raise fatal
        yield str(failure.step_key), error


def is_damage(error: Any) -> bool:
    """Whether a DamagedError caused a failure that Dagster reports."""
    while error is not None and error.cls_name != errors.DamagedError.__name__:
        error = error.cause
    return error is not None


def cause(error: Any) -> str:
    """The cause below Dagster's own errors, as one line: gradpipe's message, if there is one."""
    ours = f"{errors.__name__}."
    while error.cause and not error.message.startswith(ours):
        error = error.cause
    text = " ".join(error.message.split())
    return text.partition(": ")[2] if text.startswith(ours) else text
