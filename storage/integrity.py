"""Check every file of a workspace for changes since it was written.

Every read of whole rows or tables checks for damage too; this module checks all files at once,
for ``gradpipe doctor``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradpipe.errors import DamagedError, WorkspaceError
from gradpipe.generators.calls import CALL_SCHEMA
from storage.checksums import fault_in
from storage.filesystem import ASIDE
from storage.locations import filesystem_of
from storage.names import unslug
from storage.tables import Table
from storage.workspace import SPECTRA_SCHEMA, Workspace

if TYPE_CHECKING:
    import polars as pl

    from storage.filesystem import Location


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


@dataclass(frozen=True)
class _Kept:
    """A file of the workspace and what it holds; ``schema`` is None unless it is a part of rows."""

    place: Location
    stage: str
    model: str = ""
    benchmark: str = ""
    schema: pl.Schema | None = None

    def fault(self, reason: str) -> Fault:
        return Fault(self.place, reason, self.stage, self.model, self.benchmark)


def find_faults(workspace: Workspace) -> list[Fault]:
    """Find every damaged file, and every table that refers to missing rows.

    Reads every file whole and changes nothing. Raises WorkspaceError if a file cannot be opened.
    """
    kept = list(_kept_files(workspace))
    damaged = {file.place: file.fault(reason) for file in kept if (reason := _damage(file))}
    cells = [file for file in kept if file.stage == "gradient_spectra" and file.schema is None]
    lost = [
        fault
        for file in cells
        if file.place not in damaged and (fault := _lost_rows(workspace, file)) is not None
    ]
    return [*damaged.values(), *lost, *_lost_companions(workspace, kept)]


def set_faults_aside(workspace: Workspace, faults: Sequence[Fault]) -> list[Location]:
    """Quarantine the files with faults; the next run recomputes their content.

    Returns their new locations.
    """
    return workspace.quarantine({fault.place: fault.reason for fault in faults})


def bring_back(workspace: Workspace) -> list[Location]:
    """Restore quarantined parts that are valid; return their locations.

    For example, parts written by a newer gradpipe, after this installation was upgraded.
    """
    back = []
    for place in workspace.files.files_below(workspace.root):
        if place.name.endswith(ASIDE):
            name = place.name.removesuffix(ASIDE).rpartition(".")[0]
            file = _kept(workspace, place.with_name(name))
            if file is None or file.schema is None:
                continue
            content = workspace.files.read(place)
            if not content or fault_in(content, file.schema) is not None:
                continue
            if workspace.files.rename(place, file.place.name):
                back.append(file.place)
    return back


def _kept_files(workspace: Workspace) -> Iterator[_Kept]:
    for place in workspace.files.files_below(workspace.root):
        if (file := _kept(workspace, place)) is not None:
            yield file


def _kept(workspace: Workspace, place: Location) -> _Kept | None:
    """Return what a place in the workspace holds, or None if no stage wrote the file."""
    *folders, name = place.parts[len(workspace.root.parts) :]
    if not name.endswith(".parquet"):
        return None
    try:
        last = unslug(name.removesuffix(".parquet"))
        names = [unslug(folder) for folder in folders]
    except WorkspaceError:
        return None
    part = name.startswith("part-")
    found: tuple[str, str, str, pl.Schema | None]
    match names:
        case ["benchmark_items" | "responses" as stage]:
            found = (stage, "", last, None)
        case ["response_quality"]:
            found = ("responses", "", last, None)
        case ["generations", _] if part:
            found = ("responses", "", "", CALL_SCHEMA)
        case ["gradient_spectra" as stage, model, benchmark] if last == "index":
            found = (stage, model, benchmark, None)
        case ["gradient_spectra" as stage, model, benchmark, "rows"] if part:
            found = (stage, model, benchmark, SPECTRA_SCHEMA)
        case ["spectral_statistics" | "gradient_alignments", model]:
            found = ("spectral_statistics", model, last, None)
        case [] if last == "report_notes":
            found = ("report", "", "", None)
        case _:
            return None
    return _Kept(place, *found)


def _damage(file: _Kept) -> str | None:
    if file.schema is None:
        try:
            Table(file.place).scan()
        except DamagedError as error:
            return str(error.damage[file.place])
        return None
    content = filesystem_of(file.place).read(file.place)
    return None if content is None else fault_in(content, file.schema)


def _lost_rows(workspace: Workspace, index: _Kept) -> Fault | None:
    """The fault of an index that names rows that are missing from the store."""
    try:
        lost = workspace.lost_rows(index.model, index.benchmark)
    except DamagedError:
        # Its parts have faults of their own, and their quarantine deletes the index too.
        return None
    return index.fault(lost[index.place]) if lost else None


def _lost_companions(workspace: Workspace, kept: Sequence[_Kept]) -> Iterator[Fault]:
    """Find missing tables whose companion table exists.

    If the workspace has no table of that kind, it predates them.
    """
    there = {file.place for file in kept}
    kinds = {_kind(workspace, place) for place in there}
    for file in kept:
        companion = workspace.companion(file.place)
        if companion in there or companion is None:
            continue
        if _kind(workspace, companion) in kinds:
            yield Fault(companion, "is missing", file.stage, file.model, file.benchmark)


def _kind(workspace: Workspace, place: Location) -> str:
    """The folder of the workspace that a file is in."""
    return place.parts[len(workspace.root.parts)]
