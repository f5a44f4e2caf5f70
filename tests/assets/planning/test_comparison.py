"""Which tables stand against each other when two sides are compared."""

from pathlib import Path

import pytest

from assets.planning.comparison import Side, SideKind, paired_cells
from gradpipe.errors import DataError
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace


def side(name: str, kind: SideKind, *cells: Partition) -> Side:
    """A side whose workspace is never read."""
    study = Study.model_validate({"models": ["demo"], "benchmarks": ["mini_maths"]})
    return Side(name=name, kind=kind, workspace=Workspace(Path()), study=study, cells=cells)


SQUARE = tuple(
    Partition(model=model, benchmark=benchmark)
    for model in ("base", "tuned")
    for benchmark in ("maths", "facts")
)


def test_models_meet_on_benchmarks_and_benchmarks_on_models() -> None:
    base, tuned = side("base", "model", *SQUARE[:2]), side("tuned", "model", *SQUARE[2:])
    assert paired_cells(base, tuned) == [(SQUARE[0], SQUARE[2]), (SQUARE[1], SQUARE[3])]
    maths, facts = side("maths", "benchmark", *SQUARE[::2]), side("facts", "benchmark", SQUARE[3])
    assert paired_cells(maths, facts) == [(SQUARE[2], SQUARE[3])]


def test_studies_meet_where_both_names_are_the_same() -> None:
    one, other = side("one", "study", *SQUARE), side("other", "study", *SQUARE[1:3])
    assert paired_cells(one, other) == [(cell, cell) for cell in SQUARE[1:3]]


def test_two_studies_of_one_model_each_are_two_models() -> None:
    one, other = side("one", "study", *SQUARE[:2]), side("other", "study", *SQUARE[2:])
    assert len(paired_cells(one, other)) == 2


def test_a_study_stands_for_its_only_model_or_benchmark() -> None:
    model = side("tuned", "model", *SQUARE[2:])
    assert paired_cells(side("one", "study", SQUARE[0]), model) == [(SQUARE[0], SQUARE[2])]
    assert paired_cells(model, side("one", "study", SQUARE[1])) == [(SQUARE[3], SQUARE[1])]
    benchmark = side("maths", "benchmark", *SQUARE[::2])
    only = side("one", "study", *SQUARE[1::2])
    assert paired_cells(benchmark, only) == [(SQUARE[0], SQUARE[1]), (SQUARE[2], SQUARE[3])]


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (("study", SQUARE), ("model", SQUARE[2:]), "models base, tuned: .*A:base"),
        (("model", SQUARE[:1]), ("model", SQUARE[3:]), "has maths, the other facts"),
        (("benchmark", SQUARE[:1]), ("benchmark", SQUARE[3:]), "has base, the other tuned"),
        (("study", SQUARE[:3]), ("study", SQUARE[3:]), "base × maths.*WORKSPACE:MODEL"),
        (("model", SQUARE[:1]), ("benchmark", SQUARE[:1]), "A is a model and B a benchmark"),
    ],
)
def test_sides_with_nothing_in_common_are_refused(
    a: tuple[SideKind, tuple[Partition, ...]],
    b: tuple[SideKind, tuple[Partition, ...]],
    words: str,
) -> None:
    with pytest.raises(DataError, match=words):
        paired_cells(side("A", a[0], *a[1]), side("B", b[0], *b[1]))
