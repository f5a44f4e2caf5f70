"""A small study whose runs take seconds, and what an uninterrupted run of it makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study
from tests.conftest import study_of
from tests.faults.runs import Ended, Run, finish
from tests.faults.tables import (
    Tables,
    assert_nothing_twice,
    assert_same,
    tables_of,
    workspace_at,
)
from tests.storage.conftest import s3, s3_server

__all__ = ["s3", "s3_server"]

#: What each stage writes into a workspace.
PRODUCTS = {
    "benchmark_items": ("benchmark_items",),
    "responses": ("responses", "response_quality", "generations"),
    "gradient_spectra": ("gradient_spectra",),
    "spectral_statistics": ("spectral_statistics", "gradient_alignments", "example_sets"),
    "report": ("report", "report_notes.parquet"),
}
STAGES = tuple(PRODUCTS)


@dataclass(frozen=True)
class Bench:
    """A study's file, an uninterrupted run of it, and what that made."""

    folder: Path
    study: Path
    environment: dict[str, str]
    whole: Ended
    tables: Tables

    @property
    def workspace(self) -> Path:
        """The workspace of the uninterrupted run."""
        return self.folder / "whole"

    def begin(self, workspace: Path | str, **more: Any) -> Run:
        """A run of the study on a workspace."""
        environment = self.environment | more.pop("environment", {})
        notes = more.pop("notes", None) or self.folder / f"notes-{Path(workspace).name}"
        return Run(workspace, notes, self.study, environment=environment, **more)

    def finish(self, workspace: Path | str, **more: Any) -> Ended:
        """A run to its good end, after which every table is as the uninterrupted run left it."""
        ended = self.begin(workspace, **more).end()
        assert ended.code == 0, ended.errors
        assert "failed" not in ended.account
        self.assert_whole(workspace)
        return ended

    def assert_whole(self, workspace: Path | str) -> None:
        """Every table as the uninterrupted run left it, and no row twice."""
        found = workspace_at(workspace)
        assert_same(tables_of(found), self.tables)
        assert_nothing_twice(found)

    def before(self, stage: str, workspace: Path) -> Path:
        """A workspace in which that stage and those behind it are to be done."""
        shutil.copytree(self.workspace, workspace)
        for later in STAGES[STAGES.index(stage) :]:
            for product in PRODUCTS[later]:
                path = workspace / product
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)
        return workspace


def make_bench(folder: Path, study: Study, more_environment: dict[str, str] | None = None) -> Bench:
    """An uninterrupted run of a study in a folder."""
    file = folder / "study.yaml"
    file.write_text(study_yaml(study), "utf-8")
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}
    environment |= more_environment or {}
    whole = finish(folder / "whole", folder / "notes", file, environment=environment)
    assert not (folder / "whole" / "report" / "charts").exists()
    return Bench(folder, file, environment, whole, tables_of(workspace_at(folder / "whole")))


def small_study(model: Path, **changes: Any) -> Study:
    """Eighteen examples of one benchmark and four of another, each a batch by itself."""
    benchmarks = [{"name": "mini_maths", "sample": 3}, {"name": "mini_obscure", "sample": 2}]
    return study_of(model, **{"benchmarks": benchmarks, "statistics": ["nuclear_norm"], **changes})


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Bench:
    """An uninterrupted run of the small study."""
    return make_bench(tmp_path_factory.mktemp("bench"), small_study(small_model))


@dataclass(frozen=True)
class Disk:
    """A small disk of its own, in memory."""

    folder: Path

    def mount(self, *options: str) -> None:
        """Give it other options, such as ``size=500k`` or ``ro``."""
        command = ["mount", "-o", ",".join(["remount", *options]), str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An empty disk of 50 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def s3_environment(s3: str) -> dict[str, str]:
    """What a process needs to reach the bucket."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A place for a workspace, not made yet."""
    return tmp_path / "workspace"


def assert_a_clear_stop(ended: Ended, *words: str) -> str:
    """One sentence of gradpipe's own at the end, exit code 2, and no traceback."""
    assert ended.code == 2, ended.errors
    assert "Traceback" not in ended.errors
    last = ended.errors.strip().splitlines()[-1]
    assert last.startswith("gradpipe: ")
    assert any(word in last for word in words), last
    return last


ROUNDS = 25


def spans(marks: list[tuple[float, str]], stage: str) -> dict[str, tuple[float, float]]:
    """When each partition of a stage began and ended in an uninterrupted run, in seconds."""
    ends = [moment for moment, _ in marks[1:]]
    return {
        what: (began, ended)
        for (began, what), ended in zip(marks, ends, strict=False)
        if what.startswith(f"{stage} ")
    }


def kill_about(run: Run, what: str, began: float, length: float, share: float) -> str:
    """Kill a run when that share of a partition's time has passed; where the kill found it.

    A share below 0 is before its begin, one above 1 after its end, as far as times repeat.
    """
    if share < 0:
        run.process.join(max(0.0, began + share * length))
    else:
        while run.process.is_alive() and what not in [begun for _, begun in run.marks()]:
            run.process.join(0.005)
        run.process.join(share * length)
    run.kill()
    begun = [begun for _, begun in run.marks()]
    if what not in begun:
        return "before"
    return "during" if begun[-1] == what else "after"
