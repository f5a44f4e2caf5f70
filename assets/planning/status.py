"""The state of every stage and partition of a study."""

from collections.abc import Iterator

from assets.planning.reach import is_within_reach
from assets.planning.second_opinions import lacks_opinions
from assets.planning.versions import Versions
from assets.stages import STAGES
from gradpipe.studies.study import Study
from storage.workspace import Workspace

StageState = tuple[str, str, str, str]


def stage_states(workspace: Workspace, study: Study) -> Iterator[StageState]:
    """(stage, partition, state, rows), stage by stage.

    The state is ``current``, ``out of date``, ``missing``, or ``weights gone`` if rows are missing
    of a step whose checkpoint was deleted. A stage is out of date if its own inputs changed; stages
    that depend on it follow once it was recomputed.
    """
    versions = Versions(workspace, study)
    with versions.snapshot(STAGES):
        for stage in STAGES:
            for partition in stage.partitions(study):
                notes = versions.notes(stage, partition)
                if notes is not None and versions.is_current(stage, partition):
                    state = "current"
                elif not is_within_reach(versions, stage, partition):
                    state = "weights gone"
                else:
                    state = "out of date" if notes is not None else "missing"
                yield stage.name, partition.label, state, str(notes.rows) if notes else ""


def missing_replies(workspace: Workspace, study: Study) -> dict[str, int]:
    """The responses per benchmark about which a call to the judge failed, where there are any."""
    names = [entry.name for entry in study.benchmarks]
    counts = {name: lacks_opinions(workspace, study, name) for name in names}
    return {name: count for name, count in counts.items() if count}
