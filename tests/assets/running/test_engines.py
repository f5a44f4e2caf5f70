"""Where gradients are taken is a study's choice, and no number depends on it."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import gradpipe.engines.cluster
from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.errors import GradpipeError
from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import NoAccelerator, finished_study
from tests.conftest import study_of

BOTH = ("mini_maths", "mini_obscure")
RAY = {"engine": "ray", "ray": {"address": "local", "actors": 2}}


def bring_up(study: Study, accelerator: Accelerator) -> dict[str, int]:
    """The rows or partitions that each stage computed."""
    runner = Runner(Workspace.current(), study, accelerator)
    counts = runner.bring_up_to_date()
    assert not runner.failures
    return {stage: count.computed for stage, count in counts.items()}


def test_another_engine_computes_nothing_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cluster(*_: Any) -> Any:
        raise AssertionError("a cluster was asked for")

    monkeypatch.setattr(gradpipe.engines.cluster, "RayEngine", no_cluster)
    for engine in (RAY, {"engine": "ray", "ray": {"address": "auto"}}, {"engine": "local"}):
        computed = bring_up(finished_study(done, **engine), NoAccelerator())
        assert set(computed.values()) == {0}
        assert Workspace.current().study().engine == engine["engine"]


def test_without_ray_a_run_stops_before_anything_is_written(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    home.mkdir()
    with pytest.raises(GradpipeError, match=r'pip install "gradpipe\[ray\]"'):
        bring_up(study_of(small_model, "mini_maths", **RAY), Accelerator())
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("plain_report")
def test_without_ray_what_needs_no_gradient_is_still_computed(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    study = finished_study(done, statistics=["effective_rank"], **RAY)
    computed = bring_up(study, NoAccelerator())
    assert computed["gradient_spectra"] == 0
    assert computed["spectral_statistics"] == 2


def results() -> Iterator[pl.DataFrame]:
    """The statistics of every partition, in one order."""
    for benchmark in BOTH:
        frame = Workspace.current().statistics("small", benchmark).read()
        yield frame.sort("style", "relevance", "index", "layer", "projection")


@pytest.mark.slow
def test_a_whole_study_on_ray_gives_what_it_gives_here(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "there-is-none:6379")
    told: list[tuple[str, int, int]] = []
    accelerator = NoAccelerator(
        lambda _, benchmark, progress: told.append((benchmark, progress.rows, progress.all_rows))
    )
    computed = bring_up(study_of(small_model, *BOTH, **RAY), accelerator)
    assert computed["gradient_spectra"] == 16
    assert [step for step in told if step[1] == step[2]] == [
        ("mini_maths", 12, 12),
        ("mini_obscure", 4, 4),
    ]
    import ray

    assert not ray.is_initialized()
    assert (home / "report" / "index.html").is_file()

    on_ray = list(results())
    monkeypatch.setenv("GRADPIPE_HOME", str(home.with_name("here")))
    bring_up(study_of(small_model, *BOTH), Accelerator())
    for found, expected in zip(on_ray, results(), strict=True):
        numbers = [name for name, dtype in expected.schema.items() if dtype.is_float()]
        assert "nuclear_norm" in numbers
        assert found.drop(numbers).equals(expected.drop(numbers))
        for name in numbers:
            assert ((found[name] - expected[name]).abs() <= 1e-5 * expected[name].abs()).all()


@pytest.mark.slow
def test_an_interrupted_run_on_ray_leaves_no_process_and_keeps_what_was_done(
    home: Path, small_model: Path, tmp_path: Path
) -> None:
    study = study_of(small_model, sample=None, benchmarks=["mini_maths"], **RAY)
    path = tmp_path / "study.yaml"
    path.write_text(study_yaml(study))
    command = [sys.executable, "-m", "gradpipe.cli", "run", "--study", str(path)]
    store = Workspace.current().spectra("small", "mini_maths")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while len(store.parts()) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(with_environment(home)) > 3
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "gradpipe: stopped" in errors
    assert "to resume" in errors
    assert "Traceback" not in errors
    assert 0 < len(store.keys()) < 72
    until = time.monotonic() + 300
    while (left := with_environment(home)) and time.monotonic() < until:
        time.sleep(0.2)
    assert left == []


def with_environment(home: Path) -> list[str]:
    """The processes, beside this one, that were started for a workspace."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if os.fsencode(home) in (folder / "environ").read_bytes():
                    found.append(folder.name)
    return found
