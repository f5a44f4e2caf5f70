"""Choose the steps of a series from the checkpoints that exist and the records of computed ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gradpipe.checkpoints.checkpoint import Checkpoint, StepRecord, step_label


@dataclass(frozen=True, kw_only=True)
class StepRange:
    """The steps that a series uses: from ``first`` to ``last``, and multiples of ``every``."""

    first: float | None = None
    last: float | None = None
    every: float | None = None

    def __contains__(self, step: float) -> bool:
        return (
            (self.first is None or step >= self.first)
            and (self.last is None or step <= self.last)
            and (self.every is None or abs(step / self.every - round(step / self.every)) < 1e-9)
        )


@dataclass(frozen=True)
class SeriesSteps:
    """The steps that a series has now, ascending, and sentences about checkpoints left out."""

    steps: tuple[Checkpoint | StepRecord, ...] = ()
    notes: tuple[str, ...] = ()
    #: The names of checkpoints that may become steps later, with the reason.
    pending: Mapping[str, str] = field(default_factory=dict)


def select_steps(
    series: str,
    listed: Sequence[Checkpoint],
    records: Iterable[StepRecord],
    steps: StepRange,
) -> SeriesSteps:
    """Choose one checkpoint or record per step.

    A whole checkpoint takes precedence over a record, unless the record was made during training.
    A record stands for a checkpoint that is gone, half-written or one of two of the same step: its
    rows stay in the report. A checkpoint without a record that is gone is left out.
    """
    chosen: dict[float, Checkpoint | StepRecord] = {}
    notes: list[str] = []
    by_step: dict[float, list[Checkpoint]] = defaultdict(list)
    pending = {checkpoint.name: checkpoint.pending for checkpoint in listed if checkpoint.pending}
    for checkpoint in listed:
        if checkpoint.step is None and checkpoint.pending:
            continue
        if checkpoint.step is None:
            notes.append(
                f"The step of {checkpoint.name}, a checkpoint of the series {series!r}, is neither "
                "in its name nor in a trainer_state.json: give it in the series' `steps`."
            )
        elif checkpoint.step in steps:
            by_step[checkpoint.step].append(checkpoint)
    for step, candidates in by_step.items():
        whole = [checkpoint for checkpoint in candidates if not checkpoint.pending]
        if len(whole) > 1:
            names = " and ".join(checkpoint.name for checkpoint in whole)
            notes.append(
                f"{names}, checkpoints of the series {series!r}, have the same step "
                f"{step_label(step)} and are not used: choose one by the series' pattern, or give "
                "their `steps`."
            )
        elif whole:
            chosen[step] = whole[0]
    for record in records:
        if record.step in steps and (record.probed or record.step not in chosen):
            chosen[record.step] = record
    waiting = [
        f"{checkpoint.name}, a checkpoint of the series {series!r}, is not used yet: it "
        f"{checkpoint.pending}."
        for checkpoint in listed
        if checkpoint.pending and (checkpoint.step is None or checkpoint.step in steps)
    ]
    return SeriesSteps(tuple(chosen[step] for step in sorted(chosen)), (*notes, *waiting), pending)
