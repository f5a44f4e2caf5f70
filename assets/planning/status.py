"""The state of every stage and partition of a study."""

from collections.abc import Iterator

from assets.planning.plan import Plan
from assets.planning.versions import STAGE_NAMES, Versions
from gradpipe.studies.study import Study
from storage.workspace import Workspace

StageState = tuple[str, str, str, str]


def stage_states(workspace: Workspace, study: Study) -> Iterator[StageState]:
    """(stage, partition, ``current`` | ``out of date`` | ``missing``, rows), stage by stage.

    A stage is out of date if its own inputs changed; its dependents follow after it has run.
    """
    versions = Versions(workspace, study)
    units = list(Plan(versions).units())
    with versions.remembered():
        for stage in STAGE_NAMES:
            for unit in units:
                if stage in unit.stages:
                    cell = (stage, unit.model, unit.benchmark)
                    notes = versions.notes(*cell)
                    if notes is None:
                        yield stage, unit.label, "missing", ""
                    else:
                        state = "current" if versions.is_current(*cell) else "out of date"
                        yield stage, unit.label, state, str(notes.rows)
