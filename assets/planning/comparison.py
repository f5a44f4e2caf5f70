"""The sides of a comparison: what a model, a benchmark or another workspace has to be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from assets.planning.versions import Versions
from gradpipe.errors import DataError, StudyError, WorkspaceError, nearest
from gradpipe.studies.study import Study
from storage.locations import open_location
from storage.tables import Table
from storage.workspace import Workspace

SideKind = Literal["model", "benchmark", "study"]
ModelAndBenchmark = tuple[str, str]
_PLURAL = {"model": "models", "benchmark": "benchmarks"}


@dataclass(frozen=True)
class Side:
    """A workspace's study, or one model or benchmark of it (``of``), under the name it was given.

    ``cells`` are its (model, benchmark) pairs whose statistics are current.
    """

    name: str
    kind: SideKind
    workspace: Workspace
    study: Study
    of: str
    cells: tuple[ModelAndBenchmark, ...]

    def table(self, cell: ModelAndBenchmark) -> Table:
        """The statistics of one cell."""
        return self.workspace.statistics(*cell)

    def names(self, kind: Literal["model", "benchmark"]) -> list[str]:
        """The models or benchmarks of its cells, in the study's order."""
        return list(dict.fromkeys(cell[kind == "benchmark"] for cell in self.cells))


def find_side(word: str, current: Workspace) -> Side:
    """What ``word`` names: a model or benchmark of the current study, or another workspace.

    A workspace is a folder or a URL; ``WORKSPACE:NAME`` is a model or benchmark of its study. A
    model goes before a benchmark and a folder of the same name. Raises GradpipeError where there is
    nothing of that name, and where it has no statistics.
    """
    study = current.study()
    if kind := _kind(study, word):
        return _side(word, kind, current, study, word)
    if _is_place(word):
        workspace = _workspace(word)
        return _side(word, "study", workspace, workspace.study(), "")
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
        f"{word!r} is neither a model or benchmark of the workspace's study nor a folder, a URL or "
        f"a .parquet file that is there: {nearest(word, _names_of(study))}"
    )


def paired_cells(a: Side, b: Side) -> list[tuple[ModelAndBenchmark, ModelAndBenchmark]]:
    """The cells of ``a``, each with the cell of ``b`` that it is to be compared with.

    Two models are compared benchmark by benchmark, two benchmarks model by model, two studies by
    both. A study that stands against a model or benchmark is taken for its only one; so are two
    studies of one model each. Raises GradpipeError where the two have nothing in common.
    """
    a, b = _of_one_kind(a, b)
    pairs = _matched(a, b)
    if not pairs and a.kind == "study" and len(a.names("model")) == len(b.names("model")) == 1:
        a, b = _only(a, "model"), _only(b, "model")
        pairs = _matched(a, b)
    if not pairs:
        raise DataError(
            f"{a.name} and {b.name} have nothing in common that is computed: the one has "
            f"{_listed(a)}, the other {_listed(b)}; run both on the same "
            f"{'models' if a.kind == 'benchmark' else 'benchmarks'} with `gradpipe run`"
            + (", or name one model of each as WORKSPACE:MODEL." if a.kind == "study" else ".")
        )
    return pairs


def _matched(a: Side, b: Side) -> list[tuple[ModelAndBenchmark, ModelAndBenchmark]]:
    def shared(cell: ModelAndBenchmark) -> ModelAndBenchmark | str:
        return cell if a.kind == "study" else cell[a.kind == "model"]

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
    """The study's only model or benchmark in its place."""
    assert kind != "study"
    names = side.names(kind)
    if len(names) > 1:
        raise DataError(
            f"{side.name} has the {_PLURAL[kind]} {', '.join(names)}: say which of them is meant, "
            f"as {side.name}:{names[0]}."
        )
    return replace(side, kind=kind, of=names[0])


def _side(name: str, kind: SideKind, workspace: Workspace, study: Study, of: str) -> Side:
    cells = tuple(
        cell
        for cell in Versions(workspace, study).cells()
        if kind == "study" or of == cell[kind == "benchmark"]
    )
    if not cells:
        raise WorkspaceError(
            f"{name} has no statistics that are up to date: compute them with `gradpipe run` in "
            f"the workspace {workspace.root}."
        )
    return Side(name, kind, workspace, study, of, cells)


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
            f"{home} is no workspace (it has no study.yaml): give the folder or URL that "
            "GRADPIPE_HOME named when its study was run."
        )
    return workspace


def _listed(side: Side) -> str:
    if side.kind == "study":
        return ", ".join(" × ".join(cell) for cell in side.cells)
    return ", ".join(side.names("benchmark" if side.kind == "model" else "model"))
