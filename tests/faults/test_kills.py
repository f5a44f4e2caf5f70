"""SIGKILL at any moment of any stage: the next run ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import ROUNDS, STAGES, Bench, kill_about, spans
from tests.faults.tables import raw_keys, workspace_at


def assert_it_goes_on(bench: Bench, workspace: Path) -> None:
    """The next run computes what the store lacks, no more, and everything is as it should be."""
    found = workspace_at(workspace)
    lacking = {name: len(frame) for name, frame in bench.tables.items() if "spectra" in name}
    all_rows = sum(lacking.values())
    kept = 0
    if (workspace / "study.yaml").is_file():
        kept = sum(len(keys) for name, keys in raw_keys(found).items() if "spectra" in name)
    ended = bench.finish(workspace)
    assert ended.counts["gradient_spectra"]["computed"] == all_rows - kept
    assert not list(workspace.rglob(".*.tmp")), "what the killed run left is still there"


def kill_in(
    bench: Bench, stage: str, workspace: Path, moments: random.Random, **more: Any
) -> list[str]:
    """Rounds of one stage: from before it, killed somewhere about it, then to the end."""
    bench.before(stage, workspace)
    found = list(spans(bench.begin(workspace, **more).end().marks, stage).items())
    fell = []
    for number in range(ROUNDS):
        shutil.rmtree(workspace)
        what, (began, ended) = found[number % len(found)]
        bench.before(stage, workspace)
        run = bench.begin(workspace, **more)
        fell.append(kill_about(run, what, began, ended - began, moments.uniform(-0.15, 1.15)))
        assert_it_goes_on(bench, workspace)
    return fell


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed_at_any_moment_is_made_good_by_the_next_run(
    bench: Bench, workspace: Path, stage: str
) -> None:
    moments = random.Random(f"kills of {stage}")
    fell = Counter(kill_in(bench, stage, workspace, moments, images=stage == "report"))
    print(f"{stage}: {dict(fell)}")
    assert fell["during"] >= ROUNDS // 3


@pytest.mark.slow
def test_a_new_workspace_that_is_killed_while_it_is_made_is_made_good_by_the_next_run(
    bench: Bench, workspace: Path
) -> None:
    moments = random.Random("kills of nothing")
    first = bench.whole.marks[0][0]
    bench.begin(workspace).end()
    found = []
    for _ in range(ROUNDS):
        shutil.rmtree(workspace)
        bench.begin(workspace).kill_at(moments.uniform(0.02, 1.2))
        found.append(len([path for path in workspace.rglob("*.db*") if path.is_file()]))
        assert_it_goes_on(bench, workspace)
    print(f"first stage after {first:.1f} s; Dagster's files at the kills: {found}")
    assert len(set(found)) > 2


def test_a_run_that_is_killed_in_every_stage_ends_as_if_nothing_had_happened(
    bench: Bench, workspace: Path
) -> None:
    moments = random.Random(3)
    fell = []
    for stage in STAGES:
        what, (began, ended) = next(iter(spans(bench.whole.marks, stage).items()))
        run = bench.begin(workspace)
        fell.append(kill_about(run, what, began, ended - began, moments.uniform(0, 0.6)))
    assert fell.count("during") >= 3
    assert_it_goes_on(bench, workspace)
