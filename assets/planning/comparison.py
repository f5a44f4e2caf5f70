"""The two sides of a comparison: a model, a benchmark or a whole study of some workspace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from assets.planning.versions import Versions
from assets.spectral_statistics import SPECTRAL_STATISTICS
from gradpipe.errors import DataError, StudyError, WorkspaceError, nearest
from gradpipe.studies.study import Study
from storage.locations import open_location
from storage.stages import Partition
from storage.tables import Table
from storage.workspace import Workspace

Dimension = Literal["model", "benchmark"]
SideKind = Literal[Dimension, "study"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """A study, or one model or benchmark of it, under the ``name`` that the user gave.

    ``cells`` are its partitions (model × benchmark) whose statistics are current.
    """

    name: str
    kind: SideKind
    workspace: Workspace
    study: Study
    cells: tuple[Partition, ...]

    def table(self, cell: Partition) -> Table:
        """The statistics of one cell."""
        return self.workspace.statistics(cell.model, cell.benchmark)

    def names(self, dimension: Dimension) -> list[str]:
        """The models or benchmarks of its cells, in the study's order."""
        return list(dict.fromkeys(getattr(cell, dimension) for cell in self.cells))


def find_side(word: str, current: Workspace) -> Side:
    """Find the model or benchmark of the current study, or the workspace, that ``word`` names.

    A workspace is a folder or a URL; ``WORKSPACE:NAME`` is a model or benchmark of its study. A
    model takes precedence over a benchmark and a folder of the same name. Raises GradpipeError if
    there is nothing of that name, or if it has no statistics.
    """
    study = current.study()
    if kind := _kind(study, word):
        return _side(word, kind, current, study, word)
    if _is_place(word):
        workspace = _workspace(word)
        return _side(word, "study", workspace, workspace.study())
    home, colon, name = word.rpartition(":")
    if colon and not name.startswith("//") and _is_place(home):
        workspace = _workspace(home)
        study = workspace.study()
        if kind := _kind(study, name):
            return _side(word, kind, workspace, study, name)
        raise StudyError(
            f"The study of {home} has no model or benchmark {name!r}: "
            f"{nearest(name, _names_of(study))}"
        )
    raise StudyError(
        f"{word!r} is neither a model or benchmark of the workspace's study nor an existing "
        f"folder, URL or .parquet file: {nearest(word, _names_of(study))}"
    )


def paired_cells(a: Side, b: Side) -> list[tuple[Partition, Partition]]:
    """Pair each cell of ``a`` with the cell of ``b`` that it should be compared with.

    Two models are paired by benchmark, two benchmarks by model, two studies by both. A study
    opposite a model or benchmark stands for its only one; so do two studies of one model each.
    Raises GradpipeError if the two have nothing in common.
    """
    a, b = _of_one_kind(a, b)
    pairs = _matched(a, b)
    if not pairs and a.kind == "study" and len(a.names("model")) == len(b.names("model")) == 1:
        a, b = _only(a, "model"), _only(b, "model")
        pairs = _matched(a, b)
    if not pairs:
        raise DataError(
            f"{a.name} and {b.name} have no results in common: one has {_listed(a)}, the other "
            f"{_listed(b)}. Run both on the same "
            f"{'models' if a.kind == 'benchmark' else 'benchmarks'} with `gradpipe run`"
            + (", or name one model of each as WORKSPACE:MODEL." if a.kind == "study" else ".")
        )
    return pairs


def _matched(a: Side, b: Side) -> list[tuple[Partition, Partition]]:
    def shared(cell: Partition) -> Partition | str:
        match a.kind:
            case "model":
                return cell.benchmark
            case "benchmark":
                return cell.model
            case "study":
                return cell

    others = {shared(cell): cell for cell in b.cells}
    return [(cell, others[shared(cell)]) for cell in a.cells if shared(cell) in others]


def _of_one_kind(a: Side, b: Side) -> tuple[Side, Side]:
    """Both as models, both as benchmarks, or both as studies."""
    if a.kind == b.kind:
        return a, b
    if a.kind == "study":
        return _only(a, b.kind), b
    if b.kind == "study":
        return a, _only(b, a.kind)
    raise DataError(
        f"{a.name} is a {a.kind} and {b.name} a {b.kind}: compare two models or two benchmarks."
    )


def _only(side: Side, kind: SideKind) -> Side:
    """A study as the only model or benchmark that it has; raises DataError if it has several."""
    assert kind != "study"
    names = side.names(kind)
    if len(names) > 1:
        raise DataError(
            f"{side.name} has the {kind}s {', '.join(names)}: choose one of them, as "
            f"{side.name}:{names[0]}."
        )
    return replace(side, kind=kind)


def _side(name: str, kind: SideKind, workspace: Workspace, study: Study, member: str = "") -> Side:
    """A study, or the model or benchmark ``member`` of it; raises WorkspaceError without cells."""
    cells = tuple(
        cell
        for cell in Versions(workspace, study).current_partitions(SPECTRAL_STATISTICS)
        if kind == "study" or member == getattr(cell, kind)
    )
    if not cells:
        raise WorkspaceError(
            f"{name} has no statistics that are up to date: compute them with `gradpipe run` in "
            f"the workspace {workspace.root}."
        )
    return Side(name=name, kind=kind, workspace=workspace, study=study, cells=cells)


def _kind(study: Study, name: str) -> SideKind | None:
    if any(model.name == name for model in study.models):
        return "model"
    return "benchmark" if any(entry.name == name for entry in study.benchmarks) else None


def _names_of(study: Study) -> list[str]:
    models = [model.name for model in study.models]
    return models + [entry.name for entry in study.benchmarks]


def _is_place(word: str) -> bool:
    return "://" in word or Path(word).expanduser().is_dir()


def _workspace(home: str) -> Workspace:
    workspace = Workspace(open_location(home))
    if workspace.files.read(workspace.study_path) is None:
        raise WorkspaceError(
            f"{home} is not a workspace (it has no study.yaml): give the folder or URL that "
            "GRADPIPE_HOME named when its study was run."
        )
    return workspace


def _listed(side: Side) -> str:
    if side.kind == "study":
        return ", ".join(cell.label for cell in side.cells)
    return ", ".join(side.names("benchmark" if side.kind == "model" else "model"))
