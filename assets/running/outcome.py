"""The outcome of a run: counts per stage, and failures with their causes."""

from dataclasses import dataclass
from typing import Any

from assets.planning.plan import Unit
from gradpipe import errors


@dataclass
class StageCount:
    """What one stage did: rows, examples or partitions computed and reused, and its seconds."""

    computed: int = 0
    reused: int = 0
    seconds: float = 0.0


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
