"""Add and remove the benchmarks of a workspace's study."""

from __future__ import annotations

from typing import Any

from gradpipe.errors import StudyError, nearest
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.new_study.insertion import with_benchmark
from gradpipe.studies.study import Study
from storage.workspace import Workspace


def add_benchmark(workspace: Workspace, setting: str | dict[str, Any]) -> Study:
    """Add a benchmark to the workspace's study, as a study writes it; return the changed study.

    Paths are absolute. Raises StudyError if the setting is invalid or the study has a benchmark of
    that name.
    """
    source = str(workspace.study_path)
    text = with_benchmark(study_yaml(workspace.written_study()), source, setting)
    study = parse_study(text, source)
    workspace.keep_study(study)
    return study


def remove_benchmark(workspace: Workspace, name: str) -> Study:
    """Remove a benchmark from the workspace's study; return the changed study.

    Its results stay in the workspace. Raises StudyError if the study does not have it, or no other.
    """
    study = workspace.written_study()
    names = [entry.name for entry in study.benchmarks]
    if name not in names:
        raise StudyError(f"The study has no benchmark {name!r}: {nearest(name, names)}")
    if len(names) == 1:
        raise StudyError(f"{name} is the study's only benchmark: add another one first.")
    kept = tuple(entry for entry in study.benchmarks if entry.name != name)
    changed = study_yaml(study.model_copy(update={"benchmarks": kept}))
    study = parse_study(changed, str(workspace.study_path))
    workspace.keep_study(study)
    return study
