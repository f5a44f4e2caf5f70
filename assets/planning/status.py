"""The state of every stage and partition of a study."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from assets.planning.reach import is_within_reach
from assets.planning.second_opinions import lacks_opinions
from assets.planning.versions import Stage, Versions
from assets.stages import STAGES
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.tables import Notes
from storage.workspace import Workspace

ResultState = Literal["current", "out of date", "missing", "weights gone"]


@dataclass(frozen=True, kw_only=True)
class StageState:
    """The state of one partition of a stage; ``notes`` are those of its table, if there is one.

    The state is ``current``, ``out of date``, ``missing``, or ``weights gone`` if rows are missing
    of a step whose checkpoint was deleted. A stage is out of date if its own inputs changed; stages
    that depend on it follow once it was recomputed.
    """

    stage: Stage
    partition: Partition
    state: ResultState
    notes: Notes | None

    @property
    def rows(self) -> str:
        """The number of rows of its table as text, empty without a table."""
        return str(self.notes.rows) if self.notes else ""


def stage_states(
    workspace: Workspace, study: Study, versions: Versions | None = None
) -> Iterator[StageState]:
    """The state of every partition of a study, stage by stage."""
    versions = versions or Versions(workspace, study)
    with versions.snapshot(STAGES):
        for stage in STAGES:
            for partition in stage.partitions(study):
                notes = versions.notes(stage, partition)
                yield StageState(
                    stage=stage,
                    partition=partition,
                    state=_state(versions, stage, partition, notes),
                    notes=notes,
                )


def missing_replies(workspace: Workspace, study: Study) -> dict[str, int]:
    """The responses per benchmark about which a call to the judge failed, where there are any."""
    names = [entry.name for entry in study.benchmarks]
    counts = {name: lacks_opinions(workspace, study, name) for name in names}
    return {name: count for name, count in counts.items() if count}


def _state(
    versions: Versions, stage: Stage, partition: Partition, notes: Notes | None
) -> ResultState:
    if notes is not None and versions.is_current(stage, partition):
        return "current"
    if not is_within_reach(versions, stage, partition):
        return "weights gone"
    return "out of date" if notes is not None else "missing"
