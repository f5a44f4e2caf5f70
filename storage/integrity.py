"""Check every file of a workspace for changes since it was written.

Every read of whole rows or tables checks for damage too; this module checks all files at once,
for ``gradpipe doctor``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradpipe.errors import DamagedError
from storage.checksums import fault_in
from storage.filesystem import ASIDE
from storage.locations import filesystem_of
from storage.stages import SPECTRA_FILES, STAGE_FILES
from storage.tables import Table

if TYPE_CHECKING:
    from storage.filesystem import Location
    from storage.stages import StoredFile
    from storage.workspace import Workspace


@dataclass(frozen=True)
class Fault:
    """A damaged file; ``reason`` is the end of "the file …".

    ``model`` and ``benchmark`` are those of the file, empty if it covers all of them.
    """

    place: Location
    reason: str
    stage: str
    model: str = ""
    benchmark: str = ""

    def __str__(self) -> str:
        return f"{self.place} {self.reason}"


def find_faults(workspace: Workspace) -> list[Fault]:
    """Find every damaged file, and every table that refers to missing rows.

    Reads every file whole and changes nothing. Raises WorkspaceError if a file cannot be read at
    all.
    """
    files = _stored_files(workspace)
    damaged = {
        place: _fault(place, reason, file)
        for place, file in files.items()
        if (reason := _damage(place, file))
    }
    lost_rows = [
        fault
        for place, file in files.items()
        if file.stage == SPECTRA_FILES.name and file.schema is None and place not in damaged
        if (fault := _lost_rows(workspace, place, file)) is not None
    ]
    return [*damaged.values(), *lost_rows, *_missing_companions(workspace, files)]


def set_faults_aside(workspace: Workspace, faults: Sequence[Fault]) -> list[Location]:
    """Rename the files with faults so that the next run recomputes their content.

    Returns the new paths.
    """
    return workspace.quarantine({fault.place: fault.reason for fault in faults})


def bring_back(workspace: Workspace) -> list[Location]:
    """Restore renamed parts that are valid after all; return their paths.

    For example, parts written by a newer gradpipe, after this installation was upgraded.
    """
    restored = []
    for place in workspace.files.files_below(workspace.root):
        if not place.name.endswith(ASIDE):
            continue
        original = place.with_name(place.name.removesuffix(ASIDE).rpartition(".")[0])
        file = _describe(workspace, original)
        if file is None or file.schema is None:
            continue
        content = workspace.files.read(place)
        if not content or fault_in(content, file.schema) is not None:
            continue
        if workspace.files.rename(place, original.name):
            restored.append(original)
    return restored


def _stored_files(workspace: Workspace) -> dict[Location, StoredFile]:
    """Every file in the workspace that a stage wrote."""
    places = workspace.files.files_below(workspace.root)
    described = {place: _describe(workspace, place) for place in places}
    return {place: file for place, file in described.items() if file is not None}


def _describe(workspace: Workspace, place: Location) -> StoredFile | None:
    """Return what a file in the workspace holds, or None if no stage wrote it."""
    path = "/".join(place.parts[len(workspace.root.parts) :])
    return next((file for stage in STAGE_FILES if (file := stage.match(path))), None)


def _fault(place: Location, reason: str, file: StoredFile) -> Fault:
    return Fault(place, reason, file.stage, file.partition.model, file.partition.benchmark)


def _damage(place: Location, file: StoredFile) -> str | None:
    """Return how a file is damaged, or None if it is intact."""
    if file.schema is None:
        try:
            Table(place).scan()
        except DamagedError as error:
            return str(error.damage[place])
        return None
    content = filesystem_of(place).read(place)
    return None if content is None else fault_in(content, file.schema)


def _lost_rows(workspace: Workspace, index: Location, file: StoredFile) -> Fault | None:
    """Return the fault of an index that names rows missing from the row store."""
    try:
        lost = workspace.lost_rows(file.partition.model, file.partition.benchmark)
    except DamagedError:
        # Its parts have faults of their own, and the index is renamed with them.
        return None
    return _fault(index, lost[index], file) if lost else None


def _missing_companions(
    workspace: Workspace, files: Mapping[Location, StoredFile]
) -> Iterator[Fault]:
    """Find missing tables whose companion table exists.

    If the workspace has no table of that kind, it predates them.
    """
    folders = {_folder(workspace, place) for place in files}
    for place, file in files.items():
        for companion in workspace.companions(place):
            if companion not in files and _folder(workspace, companion) in folders:
                yield _fault(companion, "is missing", file)


def _folder(workspace: Workspace, place: Location) -> str:
    """The workspace's own folder that a file is in."""
    return place.parts[len(workspace.root.parts)]
