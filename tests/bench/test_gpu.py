"""The GPU bench from its command to its JSON, in a tiny size on the CPU, and what may go wrong."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from bench import gpu
from bench.gpu import SECTIONS, faults, measure_gpu, plain_table
from bench.gpu_equality import BFLOAT16_FLOOR, cosine_difference, differences
from bench.gpu_overlap import overlap_of, overlapping, union
from bench.gpu_runner import (
    MARK,
    Event,
    GpuOptions,
    Section,
    SectionResult,
    Step,
    allowed_seconds,
    run_isolated,
    run_sections,
    run_steps,
)

ROOT = Path(__file__).resolve().parents[2]
TINY = GpuOptions(device="cpu", tiny=True)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes where only the packages that it is said to need are found."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    script = Path(__file__).with_name("gpu_alone.py")
    command = [sys.executable, str(script), "gpu", "--device", "cpu", "--tiny", "--one-process"]
    done = subprocess.run(
        [*command, "--out", str(out)],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(out.parent)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for section in SECTIONS:
        assert section.title in done.stdout
    results: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return results


def records(run: dict[str, Any], section: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run["sections"][section]["records"]
    return found


def test_every_section_runs_with_few_packages(whole_run: dict[str, Any]) -> None:
    assert list(whole_run["sections"]) == [section.name for section in SECTIONS]
    for result in whole_run["sections"].values():
        assert result["failed"] == {}
        assert result["left_out"] == []
        assert result["records"]
        assert 0 <= result["seconds"] < result["allowed"]
    assert {"processor", "torch", "transformers"} <= whole_run["machine"].keys()


def test_both_dtypes_of_every_family_are_compared(whole_run: dict[str, Any]) -> None:
    found = records(whole_run, "equality")
    assert [record["dtype"] for record in found] == ["float32", "bfloat16"] * (len(found) // 2)
    assert {"llama", "gpt2", "mixtral, mixture"} == {record["model"] for record in found}
    assert [record for record in found if not record["equal"]] == []
    of_bfloat16 = [r["device from float32"] for r in found if r["dtype"] == "bfloat16"]
    assert all(0 < error < BFLOAT16_FLOOR for error in of_bfloat16)


def test_ours_is_compared_with_the_bare_passes(whole_run: dict[str, Any]) -> None:
    for record in records(whole_run, "speed"):
        assert record["usable"] == record["examples"]
        assert record["examples per second"] > 0
        assert 0 <= record["share of spectra"] < 1


def test_all_strategies_are_timed_alone_and_beside_the_passes(whole_run: dict[str, Any]) -> None:
    found = records(whole_run, "eigenvalues")
    for record in found:
        assert min(record[f"{name} ms"] for name in ("on_device", "on_host", "hybrid")) > 0
    assert all(record["difference"] < 1e-12 for record in found if record["matrices"])
    assert [record["chosen ms"] > 0 for record in found if record["matrices"] is None] == [True]


def test_a_batch_and_a_row_that_do_not_fit_are_recovered(whole_run: dict[str, Any]) -> None:
    batch, row = records(whole_run, "memory")
    assert batch["finished"] == batch["rows"]
    assert batch["batches"] > 1
    assert row["finished"] == row["rows"] - 1
    assert batch["passed"]
    assert row["passed"]


def test_the_trace_shows_spectra_on_other_threads(whole_run: dict[str, Any]) -> None:
    (record,) = records(whole_run, "overlap")
    assert record["of"] == "threads"
    assert record["others"] > 0
    assert record["spectra ms"] > 0


def test_without_a_gpu_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert measure_gpu(["--out", str(tmp_path / "gpu.json")]) == 2
    assert "CUDA" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


def test_unknown_sections_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        measure_gpu(["--device", "cpu", "--sections", "sped"])
    assert stopped.value.code == 2
    assert "'sped'" in capsys.readouterr().err


def fail() -> list[Any]:
    raise RuntimeError("the device is gone\nwith details")


def test_a_failed_step_does_not_stop_the_others() -> None:
    steps = [Step("one", fail), Step("two", lambda: [{"case": "two", "value": 2.0}])]
    section, result = Section("s", "S", 1, lambda _: steps), SectionResult("S")
    run_steps(section, TINY, time.time() + 60, result.take)
    assert result.failed == {"one": "RuntimeError: the device is gone"}
    assert result.records == [{"case": "two", "value": 2.0}]
    assert result.left_out == []
    assert len(faults(result)) == 1


def test_a_section_that_cannot_start_is_reported() -> None:
    result = SectionResult("S")
    run_steps(Section("s", "S", 1, lambda _: fail()), TINY, time.time() + 60, result.take)
    assert list(result.failed) == ["preparation"]


def test_no_step_begins_after_the_time_is_over() -> None:
    steps = [Step(name, lambda: [{"case": 1}]) for name in "abc"]
    result = SectionResult("S")
    run_steps(Section("s", "S", 1, lambda _: steps), TINY, time.time() - 1, result.take)
    assert result.left_out == ["a", "b", "c"]
    assert result.records == []


def script(*events: Event, then: str = "") -> list[str]:
    """A command that reports events, and then does something else."""
    lines = [f"print({MARK + json.dumps(event)!r}, flush=True)" for event in events]
    return [sys.executable, "-c", "\n".join(["import time, os", "print('noise')", *lines, then])]


PLAN: Event = {"kind": "plan", "steps": ["a", "b", "c"]}
A: list[Event] = [
    {"kind": "begin", "step": "a"},
    {"kind": "done", "step": "a", "records": [{"case": "a"}]},
]
B: Event = {"kind": "begin", "step": "b"}


@pytest.mark.parametrize(
    ("then", "failed", "left_out"),
    [
        ("time.sleep(60)", [], ["b", "c"]),
        ("os._exit(7)", ["b"], ["c"]),
        ("os.abort()", ["b"], ["c"]),
    ],
    ids=["hangs", "ends", "crashes"],
)
def test_a_process_that_is_lost_keeps_what_it_reported(
    then: str, failed: list[str], left_out: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gpu_runner.GRACE", 0.5)

    def run(_section: Section, until: float, result: SectionResult) -> str | None:
        return run_isolated(script(PLAN, *A, B, then=then), until, result.take)

    section = Section("s", "S", 1, lambda _: [])
    results = run_sections([section], 2.5, run, lambda _: None)
    assert results["s"].records == [{"case": "a"}]
    assert list(results["s"].failed) == failed
    assert results["s"].left_out == left_out
    assert results["s"].seconds < 5


def test_a_process_that_ends_well_has_no_fault() -> None:
    result = SectionResult("S")
    assert run_isolated(script(PLAN, *A), time.time() + 30, result.take) is None
    assert result.left_out == ["b", "c"]


def test_unused_time_goes_to_the_later_sections() -> None:
    assert allowed_seconds(100, [1, 3]) == 25
    sections = [Section(name, name, weight, lambda _: []) for name, weight in (("a", 1), ("b", 3))]
    results = run_sections(sections, 100, lambda *_: None, lambda _: None)
    assert results["a"].allowed == pytest.approx(25, abs=1)
    assert results["b"].allowed == pytest.approx(100, abs=1)


def test_the_sections_fit_into_the_time() -> None:
    assert sum(section.weight for section in SECTIONS) <= 60 * gpu.MINUTES


def kernel(stream: int, start: float, dur: float, cat: str = "kernel") -> dict[str, Any]:
    return {"cat": cat, "ph": "X", "ts": start, "dur": dur, "args": {"stream": stream}, "tid": 1}


def test_overlap_is_that_of_the_first_stream_with_the_others() -> None:
    events = [
        *(kernel(7, start, 10) for start in (0, 5, 20)),
        *(kernel(13, start, 10) for start in (12, 40)),
        kernel(14, 13, 10),
        kernel(9, 0, 100, cat="cpu_op"),
        {"ph": "M"},
    ]
    record = overlap_of(events, cuda=True)
    assert record["others"] == 2
    assert record["passes ms"] == pytest.approx(0.025)
    assert record["spectra ms"] == pytest.approx(0.021)
    # 12 to 15 and 20 to 23.
    assert record["both ms"] == pytest.approx(0.006)
    with pytest.raises(RuntimeError, match="device"):
        overlap_of([{"ph": "M"}], cuda=True)


def test_unions_and_their_overlap() -> None:
    assert union([(3, 4), (0, 2), (1, 3), (9, 9)]) == [(0, 4), (9, 9)]
    assert overlapping([(0, 4), (6, 8)], [(1, 2), (3, 7), (9, 10)]) == 3
    assert overlapping([], [(0, 1)]) == 0


def test_differences_find_a_wrong_gradient() -> None:
    norms = pl.DataFrame({"nuclear": [1.0, 2.0], "next_layer_cosine": [None, 0.5]})
    layers = pl.DataFrame({"q_o_cosine": [0.25]})
    wrong = norms.with_columns(nuclear=pl.Series([1.0, 2.2]))
    other = layers.with_columns(q_o_cosine=pl.Series([0.3]))
    assert differences((wrong, layers), (norms, layers)).max() == pytest.approx(0.1)
    assert differences((norms, layers), (norms, layers)).max() == 0
    assert cosine_difference((norms, layers), (norms, other)) == pytest.approx(0.05)
    with pytest.raises(RuntimeError):
        differences((norms[:1], layers), (norms, layers))


def test_a_table_has_every_column_of_every_record() -> None:
    lines = plain_table(
        [{"case": "a", "passed": False}, {"case": "b", "ms": 0.123456}]
    ).splitlines()
    assert [line.split() for line in lines] == [
        ["case", "passed", "ms"],
        ["a", "NO", "–"],
        ["b", "–", "0.123"],
    ]
    assert "nothing" in plain_table([])
