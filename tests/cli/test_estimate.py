"""`gradpipe estimate` as a user types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.cli import main
from storage.workspace import Workspace


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def study(tmp_path: Path, small_model: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(
        f"name: small\nmodels: [{{id: '{small_model}', name: small}}]\n"
        "benchmarks: [mini_obscure, mini_maths]\nsample: 2\nsampling: first\n"
        "protocol: {preset: standard, max_length: 4096}\n"
    )
    return str(path)


def test_a_study_that_never_ran_is_calibrated_and_nothing_is_written(
    home: Path, study: str, no_images: None
) -> None:
    told = json.loads(gradpipe("estimate", "--study", study, "--json").stdout)
    cells = {cell["benchmark"]: cell for cell in told["cells"]}
    assert list(cells) == ["mini_obscure", "mini_maths"]
    assert all(cell["seconds"] > 0 and cell["memory"] > 0 for cell in cells.values())
    for key in ("rows", "tokens", "flops", "bytes", "seconds"):
        assert told["total"][key] == pytest.approx(sum(cell[key] for cell in told["cells"]))
    assert not home.exists() or not list(home.rglob("*.parquet"))

    gradpipe("run", "--study", study)
    stores = {name: Workspace.current().spectra("small", name) for name in cells}
    for name, store in stores.items():
        rows = store.scan().collect()
        assert rows.height == cells[name]["rows"]
        assert rows["tokens"].sum() == cells[name]["tokens"]
        assert store.bytes() == pytest.approx(cells[name]["bytes"], rel=0.25)
    after = json.loads(gradpipe("estimate", "--json").stdout)["total"]
    assert (after["rows"], after["flops"], after["seconds"], after["bytes"]) == (0, 0, 0, 0)
    # A pilot of two items per benchmark decides nothing, and has no variances to plan with.
    plans = json.loads(gradpipe("estimate", "--power", "--json").stdout)
    assert plans["power"] == 0.8
    assert {(plan["items"], plan["items_needed"]) for plan in plans["claims"]} == {(2, MIN_ITEMS)}
    assert "2 of 8 required items" in gradpipe("estimate", "--power", "0.9").stdout


def test_without_a_calibration_the_time_is_at_one_teraflop(home: Path, study: str) -> None:
    table = gradpipe("estimate", "--study", study, "--no-calibration").stdout
    for word in ("small", "mini_maths", "FLOP", "TFLOP/s", "memory"):
        assert word in table


def test_hypothetical_work_needs_neither_study_nor_workspace(home: Path) -> None:
    words = ("estimate", "--model", "70b", "--examples", "1000000", "--gpus", "64")
    text = gradpipe(*words).stdout
    for word in ("600,000,000", "GPU-hours", "disk", "H100 SXM"):
        assert word in text
    told = json.loads(gradpipe(*words, "--json").stdout)
    assert told["flops"] == pytest.approx(4 * 70e9 * 600e6, rel=0.06)
    assert (told["copies"], told["setting"]["gpu"]) == (21, "h100")
    assert {"gpus_a_copy", "memory_bytes_a_gpu"} <= told.keys()
    assert {"utilisation", "spectra_utilisation"} <= told["setting"].keys()
    assert told["assumptions"]
    assert not home.exists()


@pytest.mark.parametrize(("tokens", "of_response"), [("300", 300), ("500", 400)])
@pytest.mark.usefixtures("home")
def test_a_response_is_by_default_no_longer_than_its_example(tokens: str, of_response: int) -> None:
    words = ("estimate", "--model", "8b", "--examples", "10", "--tokens", tokens, "--json")
    assert json.loads(gradpipe(*words).stdout)["setting"]["response_tokens"] == of_response


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--model", "70b"), "--examples"),
        (("--examples", "5"), "--model"),
        (("--response-tokens", "5"), "--response-tokens"),
        (("--gradient-checkpointing",), "--gradient-checkpointing needs --model"),
        (("--model", "70b", "--study", "demo"), "--model"),
        (("--model", "70c", "--examples", "5"), "'70b'"),
        (("--model", "8b", "--examples", "5", "--gpu", "h10"), "'h100'"),
        (("--model", "70b", "--examples", "5"), "--gpus"),
        (("--study", "no-such"), "'no-such'"),
        (("--model", "8b", "--examples", "0"), "--examples"),
        (("--model", "8b", "--examples", "5", "--utilization", "1.5"), "--utilization"),
        # The spelling of version 0.1.
        (("--model", "8b", "--examples", "5", "--utilisation", "1.5"), "--utilisation"),
    ],
)
def test_invalid_options_are_refused_with_exit_code_two(
    home: Path, words: tuple[str, ...], named: str
) -> None:
    result = gradpipe("estimate", *words)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.output
