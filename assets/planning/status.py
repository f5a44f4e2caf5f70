"""The state of every stage and partition of a study."""

from collections.abc import Iterator

from assets.planning.versions import Versions
from assets.stages import STAGES
from gradpipe.studies.study import Study
from storage.workspace import Workspace

StageState = tuple[str, str, str, str]


def stage_states(workspace: Workspace, study: Study) -> Iterator[StageState]:
    """(stage, partition, ``current`` | ``out of date`` | ``missing``, rows), stage by stage.

    A stage is out of date if its own inputs changed; stages that depend on it follow once it was
    recomputed.
    """
    versions = Versions(workspace, study)
    with versions.snapshot(STAGES):
        for stage in STAGES:
            for partition in stage.partitions(study):
                notes = versions.notes(stage, partition)
                if notes is None:
                    yield stage.name, partition.label, "missing", ""
                else:
                    current = versions.is_current(stage, partition)
                    state = "current" if current else "out of date"
                    yield stage.name, partition.label, state, str(notes.rows)
