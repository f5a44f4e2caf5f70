"""The workspace's list of benchmarks: added, refused, removed."""

from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from storage.study_benchmarks import add_benchmark, remove_benchmark
from storage.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def names(workspace: Workspace) -> list[str]:
    return [entry.name for entry in workspace.written_study().benchmarks]


def test_a_benchmark_is_added_once_and_removed(workspace: Workspace) -> None:
    before = names(workspace)
    add_benchmark(workspace, {"name": "mine", "source": "files", "path": "/data/pairs.csv"})
    assert names(workspace) == [*before, "mine"]
    assert workspace.study().benchmark("mine").path == "/data/pairs.csv"
    with pytest.raises(StudyError, match="mine twice"):
        add_benchmark(workspace, {"name": "mine", "source": "files", "path": "/other.csv"})
    remove_benchmark(workspace, "mine")
    assert names(workspace) == before


def test_an_unknown_benchmark_and_the_last_one_stay(workspace: Workspace) -> None:
    with pytest.raises(StudyError, match="'mini_maths'"):
        remove_benchmark(workspace, "mini_math")
    remove_benchmark(workspace, "mini_maths")
    with pytest.raises(StudyError, match="only benchmark"):
        remove_benchmark(workspace, "mini_commonsense")
    assert names(workspace) == ["mini_commonsense"]
