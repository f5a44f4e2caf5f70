"""Which workspace a study belongs to: one that holds it already, or a folder of its own below."""

from __future__ import annotations

from gradpipe.errors import GradpipeError, WorkspaceError
from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study
from storage.names import slug
from storage.stages import STAGE_FILES
from storage.workspace import Workspace

#: The folder that studies without a name had in earlier versions.
_UNNAMED = "study"
#: Names in a workspace's folder that no study's own folder may have, besides those of the stages.
_TAKEN = {"dagster", "report", "series", "study.yaml", "report_notes.parquet"}


def other_study(workspace: Workspace, study: Study) -> str | None:
    """The name of the study that a workspace holds, if it is another one; None otherwise.

    Two studies are the same one if they have the same name. A workspace whose study cannot be read
    holds none: the file has no results, and has to be replaced.
    """
    held = _held(workspace)
    if held is None or held.name == study.name or _is_earlier(held, study):
        return None
    return held.name


def holds_exactly(workspace: Workspace, study: Study) -> bool:
    """Whether a workspace's study has the same settings as ``study``."""
    return workspace.files.read(workspace.study_path) == study_yaml(study).encode("utf-8")


def own_workspace(workspace: Workspace, study: Study) -> Workspace:
    """The workspace of a study's own in a folder of ``workspace``, named like the study.

    That of a study without a name may be the folder ``study`` of earlier versions. Raises
    WorkspaceError if a folder of that name is the workspace's, or another study's.
    """
    earlier = Workspace(workspace.root / _UNNAMED)
    if (held := _held(earlier)) is not None and _is_earlier(held, study):
        return earlier
    folder = slug(study.name)
    if folder.casefold() in _taken():
        raise WorkspaceError(
            f"The study {study.name!r} cannot have a workspace of its own in {workspace.root}: "
            f"{folder} is the name of other files there. Rename the study, or set GRADPIPE_HOME to "
            "another folder."
        )
    own = Workspace(workspace.root / folder)
    if (other := other_study(own, study)) is not None:
        raise WorkspaceError(
            f"The workspace {own.root} holds the study {other!r}: set GRADPIPE_HOME to another "
            f"folder for {study.name!r}."
        )
    return own


def _held(workspace: Workspace) -> Study | None:
    """The study that a workspace holds, None without one that can be read."""
    if not workspace.study_path.is_file():
        return None
    try:
        return workspace.written_study()
    except GradpipeError:
        return None


def _is_earlier(held: Study, study: Study) -> bool:
    """Whether an earlier version kept ``study`` as ``held``, when a name of the file was not used.

    Neither has a name of its own, and they have a model and a benchmark in common.
    """
    if "name" in held.model_fields_set | study.model_fields_set:
        return False
    models, benchmarks = (
        {entry.name for entry in one} & {entry.name for entry in other}
        for one, other in ((held.entries, study.entries), (held.benchmarks, study.benchmarks))
    )
    return bool(models and benchmarks)


def _taken() -> set[str]:
    """The first parts of all paths that a workspace may have."""
    patterns = [
        path
        for files in STAGE_FILES
        for path in (files.table, *files.companions, *files.parts, *files.outputs)
    ]
    return _TAKEN | {pattern.partition("/")[0] for pattern in patterns}
