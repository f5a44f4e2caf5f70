"""The stand-alone extractor where it is killed, where nothing can be written, and out of time."""

import json
import locale
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from gradpipe.cli import Commands, main
from gradpipe.cli.extract import extract
from gradpipe.cli.rank import rank_command
from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError
from gradpipe.gradients.protocol import PAPER, STANDARD
from gradpipe.standalone.example_runner import ExampleRunner
from tests.standalone.extractions import run_extraction

ROWS = [{"instruction": f"Say {n}.", "output": f"Well, {n * 7}! " * (1 + n % 3)} for n in range(8)]
#: Stops where the table is written under another name, and waits to be killed.
CHILD = """
    import os, sys, time
    from pathlib import Path
    from tests.standalone.extractions import run_extraction
    from gradpipe.gradients.protocol import PAPER

    def wait(_):
        print("written", flush=True)
        time.sleep(600)

    os.fsync = wait
    run_extraction(sys.argv[1], sys.argv[2], Path(sys.argv[3]), PAPER)
"""


def gradpipe(*words: str | Path) -> Result:
    # A command keeps the names of its help option from its first call.
    commands = {"extract": extract, "rank": rank_command}
    group = Commands("gradpipe", commands, context_settings=main.context_settings)
    return CliRunner().invoke(group, list(map(str, words)), catch_exceptions=False)


def refused(result: Result, *words: str) -> None:
    """One sentence, exit code 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("gradpipe: ")
    assert message.endswith(".")
    for word in words:
        assert word in message


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(ROWS))
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a separate disk with some options, or remounts it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        words = ["mount", "-t", "tmpfs", "-o", options, "gradpipe", str(folder)]
        if os.path.ismount(folder):
            words = ["mount", "-o", f"remount,{options}", str(folder)]
        if shutil.which("mount") is None or subprocess.run(words, check=False).returncode:
            pytest.skip("a disk cannot be mounted here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """While open, this process can write no file larger than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_process_killed_before_the_table_is_in_place_leaves_the_earlier_one(
    data: Path, tiny_folder: Path
) -> None:
    out = data.with_name("out.parquet")
    run_extraction(str(data), str(tiny_folder), out, PAPER, limit=2)
    earlier = out.read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(data), str(tiny_folder), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert out.read_bytes() == earlier
    # What is left bears a name that nobody takes for a table, and the next run is not disturbed.
    [stray] = data.parent.glob(".*")
    assert stray.name.startswith(".out.parquet.")
    assert stray.suffix == ".tmp"
    run_extraction(str(data), str(tiny_folder), out, PAPER)
    assert pl.read_parquet(out)["example"].n_unique() == len(ROWS)


def test_an_interrupt_while_the_table_is_written_leaves_nothing(
    data: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    out = data.with_name("out.parquet")
    words = ("extract", data, "--model", tiny_folder, "--out", out)
    assert gradpipe(*words).exit_code == 130
    assert sorted(path.name for path in data.parent.iterdir()) == ["cache", "data.json"]


@pytest.mark.parametrize("command", ["extract", "rank"])
def test_a_file_that_grows_too_large_is_one_sentence_and_leaves_nothing(
    command: str, data: Path, tiny_folder: Path
) -> None:
    out = data.with_name("out.parquet" if command == "extract" else "out.json")
    out.write_bytes(b"earlier")
    words = (command, data, "--model", tiny_folder, "--out", out)
    with files_of_at_most(700):
        result = gradpipe(*words, *(["--overwrite"] if command == "rank" else []))
    refused(result, str(out), "File too large", "free space")
    assert out.read_bytes() == b"earlier"
    assert not list(data.parent.glob(".*"))


def test_a_full_disk_and_a_read_only_one_are_one_sentence(
    data: Path, tiny_folder: Path, disk: Callable[[str], Path]
) -> None:
    folder = disk("size=4k")
    words = ("extract", data, "--model", tiny_folder, "--out", folder / "out.parquet")
    refused(gradpipe(*words), str(folder / "out.parquet"), "No space left on device")
    assert not list(folder.iterdir())
    disk("ro")
    # Before a model is looked for.
    words = ("extract", data, "--model", "no/model", "--out", folder / "out.parquet")
    refused(gradpipe(*words), str(folder / "out.parquet"), "permission")
    disk("rw,size=1m")
    words = ("extract", data, "--model", tiny_folder, "--out", folder / "out.parquet")
    assert gradpipe(*words).exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["out.parquet"]


def test_what_is_no_plain_file_is_never_replaced(data: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.parquet"
    os.mkfifo(pipe)
    for out in (pipe, tmp_path, Path("/dev/null"), tmp_path / "gone" / "out.parquet"):
        words = ("extract", data, "--model", "no/model", "--out", out)
        refused(gradpipe(*words), f"{out} cannot be written")
    assert pipe.is_fifo()


def test_rows_are_refused_before_the_weights_are_read(
    data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder, broken)
    (broken / "model.safetensors").write_bytes(b"no weights at all")
    overlong = [Pair("Q", "A"), Pair("Q", "x" * 200)]
    with pytest.raises(DataError, match=r"1 of 2 .*row 4 .*200"):
        ExampleRunner(str(broken), STANDARD).encode(overlong, 3)
    data.write_text(json.dumps([*ROWS, {"instruction": "Q", "output": "x" * 200}]))
    refused(gradpipe("rank", data, "--model", broken), "1 of 9 responses", "row 8 with 200")
    # Where the rows are well, the weights are what is wrong.
    data.write_text(json.dumps(ROWS))
    refused(gradpipe("rank", data, "--model", broken), "The model of", "cannot be loaded")


def test_rows_that_lack_a_side_are_named_and_the_others_go_on(
    data: Path, tiny_folder: Path
) -> None:
    incomplete = [
        ROWS[0],
        {"instruction": "No output."},
        {"instruction": None, "output": "No instruction."},
        {"instruction": "Null.", "output": None},
        ROWS[1],
    ]
    data.write_text(json.dumps(incomplete))
    out = data.with_name("out.parquet")
    result = gradpipe("extract", data, "--model", tiny_folder, "--out", out)
    assert result.exit_code == 0
    named = [line for line in result.stderr.splitlines() if line.startswith("row ")]
    assert [line.split()[1] for line in named] == ["1", "2", "3"]
    for line, part in zip(named, ("response", "instruction", "response"), strict=True):
        assert part in line
    assert result.stdout.split()[0] == "2"
    assert pl.read_parquet(out)["example"].unique().to_list() == [0, 4]

    assert gradpipe("rank", data, "--model", tiny_folder).exit_code == 0
    ranked = json.loads(data.with_name("data.ranked.json").read_text())
    assert [row["rank"] for row in ranked] == [1, 2, None, None, None]
    assert "response" in ranked[2]["reason"]
    by_table = data.with_name("by_table.json")
    words = ("rank", data, "--spectra", out, "--out", by_table)
    assert gradpipe(*words).exit_code == 0
    assert [row["reason"] for row in json.loads(by_table.read_text())[2:]] == [
        row["reason"] for row in ranked[2:]
    ]


def test_a_clock_that_goes_backwards_changes_no_table(
    data: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [Pair(row["instruction"], row["output"]) for row in ROWS]
    runner = ExampleRunner(str(tiny_folder), PAPER)
    expected = pl.concat(runner.spectra(runner.encode(pairs)))
    falling = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(falling)))
    monkeypatch.setattr(time, "time_ns", lambda: next(falling) * 10**9)
    found = pl.concat(runner.spectra(runner.encode(pairs)))
    assert (found["seconds"] > 0).all()
    assert found["seconds"].sum() < 60
    assert_frame_equal(found.drop("seconds"), expected.drop("seconds"))


def test_a_locale_with_decimal_commas_changes_no_table(
    data: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[Any] = ["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"]
    if shutil.which("localedef") is None or subprocess.run(words, check=False).returncode:
        pytest.skip("no locale with decimal commas can be made here")
    rows = [{**row, "weight": 0.5} for row in ROWS]
    pl.DataFrame(rows).write_csv(data.with_suffix(".csv"))
    out = data.with_name("out.parquet")

    def made() -> tuple[pl.DataFrame, str]:
        source = data.with_suffix(".csv")
        assert gradpipe("extract", source, "--model", tiny_folder, "--out", out).exit_code == 0
        ranking = ("rank", source, "--spectra", out, "--overwrite", "--top", "0.5")
        assert gradpipe(*ranking).exit_code == 0
        return pl.read_parquet(out), source.with_name("data.ranked.csv").read_text()

    expected = made()
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.str(1.5) == "1,5"
        found = made()
    finally:
        locale.setlocale(locale.LC_ALL, before)
    assert_frame_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert len(found[1].splitlines()) == 1 + len(ROWS) // 2
