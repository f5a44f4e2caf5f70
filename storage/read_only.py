"""Open a workspace to read its results: nothing is created, renamed, locked or looked up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradpipe.checkpoints.selection import select_steps
from gradpipe.errors import WorkspaceError
from gradpipe.studies.series import expand_series
from gradpipe.studies.study import Study
from storage.locations import home_setting, local_folder_of
from storage.names import earlier_slug, slug
from storage.object_store import open_store
from storage.stages import SPECTRA_FILES
from storage.workspace import Workspace

if TYPE_CHECKING:
    from storage.filesystem import Location


class ReadOnlyWorkspace(Workspace):
    """A workspace for readers: it shows what is stored, wherever models and checkpoints are now."""

    def expand(self, study: Study) -> Study:
        """Return a study with a model per recorded step of its series; nothing is listed."""
        return expand_series(
            study,
            lambda entry: (
                select_steps(entry.name, (), self.series.of(entry.name), entry.range).steps
            ),
        )

    def _spectra_of(self, model: str) -> Location:
        """The folder of a model's rows; one of an earlier version is not renamed."""
        folder, earlier = (
            self.root / SPECTRA_FILES.name / name(model) for name in (slug, earlier_slug)
        )
        is_earlier = folder != earlier and self.local_root is not None and earlier.is_dir()
        return earlier if is_earlier and not folder.exists() else folder


def open_to_read(home: str | Path | None = None) -> ReadOnlyWorkspace:
    """The workspace in a folder or behind a URL, by default the one that GRADPIPE_HOME names.

    Raises WorkspaceError if there is no workspace, or if it cannot be reached.
    """
    name = home_setting(None if home is None else str(home))
    folder = local_folder_of(name)
    if folder is not None and not folder.is_dir():
        raise WorkspaceError(
            f"There is no workspace {folder}: give the folder or URL that GRADPIPE_HOME named when "
            "the study was run, or make one with `gradpipe run`."
        )
    root: Location = open_store(name, "The workspace") if folder is None else folder
    workspace = ReadOnlyWorkspace(root)
    if not workspace.study_path.is_file():
        inside = root / ".gradpipe"
        hint = (
            f"did you mean {inside}?"
            if (inside / workspace.study_path.name).is_file()
            else "give the folder or URL that GRADPIPE_HOME named when its study was run."
        )
        raise WorkspaceError(f"{root} is not a workspace (it has no study.yaml): {hint}")
    return workspace
