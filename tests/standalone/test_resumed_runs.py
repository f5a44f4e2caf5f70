"""Extraction and ranking that are killed, stopped or started on changed data: only the rest."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from bench.stub_runner import StubRunner
from gradpipe.cli import main
from gradpipe.cli.work_folder import WorkFolder, work_folder
from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError, GradpipeError
from gradpipe.gradients.protocol import PAPER
from gradpipe.standalone import extra_scores, kept_rows
from gradpipe.standalone.data_stream import RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.extraction_run import ExtractionRun
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.ranking_run import RankingRun
from tests.standalone.extractions import run_extraction

ROWS = [{"instruction": f"Say {n}.", "output": f"Well, {n}!" if n % 9 else ""} for n in range(60)]
#: Extracts or ranks rows, ten at a time, and ends itself as `kill -9` would after some batches.
CHILD = """
    import os, sys
    from pathlib import Path
    from tests.standalone.test_resumed_runs import extract, rank, StubRunner
    from gradpipe.standalone import kept_rows

    kept_rows.KEEP_SECONDS = 0
    runner = StubRunner(batch=3, after=lambda n: n >= 22 and os.kill(os.getpid(), 9))
    {"extract": extract, "rank": rank}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), runner)
"""


def chunks(data: Path, **settings: Any) -> ExampleChunks:
    selection = RowSelection(**settings)
    return ExampleChunks(stream=open_data(str(data), selection), selection=selection, rows=10)


def extract(
    data: Path, out: Path, runner: StubRunner, work: Path | None = None, **settings: Any
) -> pl.DataFrame:
    """The table of an extraction that keeps its rows."""
    shards = settings.pop("shard_size", None)
    some = ExampleChunks(**{**vars(chunks(data, **settings)), "ends": shards})
    with work_folder(work, out) as kept:
        ExtractionRun(some, runner, out, kept=kept, shard_size=shards).run()
    return pl.read_parquet(out / "*.parquet" if shards else out)


def rank(
    data: Path,
    out: Path,
    runner: StubRunner,
    work: Path | None = None,
    order: RankOrder | None = None,
    **settings: Any,
) -> pl.DataFrame:
    """The ranking of a run that keeps its rows."""
    order = order or RankOrder(by="nuclear_norm")
    with work_folder(work, out) as kept:
        return RankingRun(chunks(data), runner, order, kept=kept, **settings).run()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("command", ["extract", "rank"])
def test_a_killed_run_goes_on_where_it_ended(command: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    words = [sys.executable, "-c", textwrap.dedent(CHILD), command, str(data), str(out)]
    child = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / "out.parquet.work").is_dir()
    run: Callable[..., pl.DataFrame] = extract if command == "extract" else rank
    runner, whole = StubRunner(), StubRunner()
    found = run(data, out, runner)
    # Two chunks of ten rows and a batch of three were finished.
    assert runner.computed == 60 - 23
    assert_frame_equal(found, run(data, tmp_path / "whole.parquet", whole))
    assert whole.computed == 60
    assert not (tmp_path / "out.parquet.work").exists()


def test_a_table_that_is_complete_is_not_computed_again(data: Path, tmp_path: Path) -> None:
    out, runner = tmp_path / "out.parquet", StubRunner()
    table = extract(data, out, runner)
    assert_frame_equal(extract(data, out, runner), table)
    assert runner.computed == 60


def test_a_table_of_other_rows_with_the_same_texts_is_another(data: Path, tmp_path: Path) -> None:
    out, runner = tmp_path / "out.parquet", StubRunner()
    data.write_text(data.read_text().splitlines(keepends=True)[1] * 9)
    assert extract(data, out, runner, limit=3)["example"].unique().to_list() == [0, 1, 2]
    assert extract(data, out, runner, offset=3, limit=3)["example"].unique().to_list() == [3, 4, 5]


def test_rows_of_a_chunk_with_equal_texts_are_computed_once(data: Path, tmp_path: Path) -> None:
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join([*lines[:5], *lines[:5], *lines[3:20]]))
    runner = StubRunner()
    table = extract(data, tmp_path / "out.parquet", runner, tmp_path / "work")
    assert runner.computed == 5 + 17
    same = table.filter(example=2).drop("example")
    assert_frame_equal(table.filter(example=7).drop("example"), same)


def test_of_changed_data_only_the_new_rows_are_computed(data: Path, tmp_path: Path) -> None:
    out, work, runner = tmp_path / "out.parquet", tmp_path / "work", StubRunner()
    extract(data, out, runner, work)
    lines = [json.dumps(row) for row in ROWS]
    lines[33] = json.dumps({"instruction": "New.", "output": "Newer."})
    data.write_text("\n".join(["", *lines[1:40], lines[0], lines[50]]))
    again = StubRunner()
    table = extract(data, out, again, work)
    assert again.computed == 1
    assert_frame_equal(table, extract(data, tmp_path / "whole.parquet", StubRunner()))


def test_a_run_that_is_stopped_says_what_is_kept(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(computed: int) -> None:
        if computed >= 25:
            raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    with pytest.raises(Exception, match="130"):
        extract(data, out, StubRunner(batch=5, after=stop))
    message = capsys.readouterr().err
    # Those too that were waiting for more.
    kept = int(re.findall(r"(\d+) finished rows", message)[0])
    assert kept == 25
    assert str(tmp_path / "out.parquet.work") in message
    runner = StubRunner()
    extract(data, out, runner)
    assert runner.computed == 60 - kept
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "data.jsonl",
        "out.parquet",
    ]


def test_a_run_that_is_stopped_at_once_says_that_nothing_is_kept(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    runner = StubRunner()
    monkeypatch.setattr(runner, "encode", stop)
    with pytest.raises(Exception, match="130"):
        rank(data, tmp_path / "out.jsonl", runner)
    assert "nothing is kept" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl.work").exists()


def test_a_command_that_keeps_nothing_does_not_say_that_it_does(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gradpipe.standalone.look.look_at", stop)
    result = CliRunner().invoke(main, ["look", str(data), "--model", "demo"])
    assert result.exit_code == 130
    assert "kept" not in result.stderr


def test_the_work_of_another_process_is_not_deleted(data: Path, tmp_path: Path) -> None:
    work = tmp_path / "out.parquet.work"
    other = WorkFolder(work)
    other.segment("spectra", "0", pl.Schema({"key": pl.String()}))
    [marker] = work.iterdir()
    # As if another machine had made it.
    marker.rename(work / "in-use.1-1@00000000")
    (work / "notes.txt").write_text("mine")
    extract(data, tmp_path / "out.parquet", StubRunner())
    assert (work / "spectra").is_dir()
    (work / "in-use.1-1@00000000").unlink()
    (tmp_path / "out.parquet").unlink()
    extract(data, tmp_path / "out.parquet", StubRunner())
    assert [path.name for path in work.iterdir()] == ["notes.txt"]


def test_damaged_rows_are_named_with_what_to_do(data: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    extract(data, tmp_path / "out.parquet", StubRunner(), work)
    part = next(work.glob("spectra/*/part-*"))
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(GradpipeError, match=re.escape(str(part)) + ".*delete it"):
        extract(data, tmp_path / "other.parquet", StubRunner(), work)
    part.unlink()
    runner = StubRunner()
    extract(data, tmp_path / "other.parquet", runner, work)
    assert runner.computed == 10


@pytest.mark.parametrize("size", [7, 25, 60, 100])
def test_shards_hold_what_one_file_holds(size: int, data: Path, tmp_path: Path) -> None:
    whole = extract(data, tmp_path / "whole.parquet", StubRunner())
    out, runner = tmp_path / "shards", StubRunner()
    assert_frame_equal(extract(data, out, runner, shard_size=size), whole)
    count = -(-60 // size)
    names = [f"part-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
    assert sorted(path.name for path in out.iterdir()) == names
    (out / names[-1]).unlink()
    again = StubRunner()
    assert_frame_equal(extract(data, out, again, shard_size=size), whole)
    assert again.computed == 60 - (count - 1) * size


def test_a_folder_with_other_files_is_no_place_for_shards(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    extract(data, out, StubRunner(), shard_size=30)
    with pytest.raises(DataError, match="part-00000-of-00002"):
        extract(data, out, StubRunner(), shard_size=20)
    with pytest.raises(DataError, match="cannot be written"):
        extract(data, data, StubRunner(), shard_size=20)


def test_a_ranking_keeps_statistics_and_spectra_only_where_asked(
    data: Path, tmp_path: Path
) -> None:
    work, out, runner = tmp_path / "work", tmp_path / "out.jsonl", StubRunner()
    expected = rank(data, out, runner, work)
    assert runner.computed == 60
    assert not (work / "spectra").exists()
    other = RankOrder(by="effective_rank")
    # Nothing of the other statistic is kept.
    rank(data, out, runner, work, other, keep_spectra=True)
    assert runner.computed == 120
    rank(data, out, runner, work, RankOrder(by="spectral_norm"))
    assert_frame_equal(rank(data, out, runner, work), expected)
    extract(data, tmp_path / "out.parquet", runner, work)
    assert runner.computed == 120


def test_scores_from_kept_spectra_are_those_of_computed_ones(data: Path, tmp_path: Path) -> None:
    order = RankOrder(
        by="nuclear_norm", extras=extra_scores.Extras(names=["loss", "ifd", "ppl", "tokens"])
    )
    work = tmp_path / "work"
    extract(data, tmp_path / "out.parquet", StubRunner(), work)
    runner = StubRunner()
    found = rank(data, tmp_path / "a.jsonl", runner, work, order)
    assert runner.computed == 0
    assert_frame_equal(found, rank(data, tmp_path / "b.jsonl", StubRunner(), None, order))


def test_a_table_of_one_run_is_that_of_the_model(data: Path, tiny_folder: Path) -> None:
    """Keeping rows changes no number."""
    out, other = data.with_name("out.parquet"), data.with_name("other.parquet")
    run_extraction(str(data), str(tiny_folder), other, PAPER, limit=7)
    words = ("extract", data, "--model", tiny_folder, "--protocol", "paper", "--limit", "7")
    result = CliRunner().invoke(main, [*map(str, words), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert_frame_equal(pl.read_parquet(out), pl.read_parquet(other))
    one, two = (pl.read_parquet_metadata(path) for path in (out, other))
    assert {**one, "ARROW:schema": ""} == {**two, "ARROW:schema": ""}
    assert one["rows"] == "7"


def test_keys_are_those_of_examples_models_and_protocols(tiny_folder: Path) -> None:
    from gradpipe.standalone.example_runner import ExampleRunner

    pairs = [Pair("a", "b"), Pair("a", "c"), Pair("a", "b")]
    keys = ExampleRunner(str(tiny_folder), PAPER).keys.of(pairs)
    assert keys[0] == keys[2] != keys[1]
    assert keys == ExampleRunner(str(tiny_folder), PAPER).keys.of(pairs)
    assert set(keys).isdisjoint(StubRunner().keys.of(pairs))


def test_small_batches_make_few_files(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(data, tmp_path / "a.parquet", StubRunner(batch=1), tmp_path / "few")
    assert len(list((tmp_path / "few").glob("spectra/*/part-*"))) == 6
    monkeypatch.setattr(kept_rows, "KEEP_SECONDS", 0)
    extract(data, tmp_path / "b.parquet", StubRunner(batch=1), tmp_path / "merged")
    assert len(list((tmp_path / "merged").glob("spectra/*/part-*"))) == 6
    monkeypatch.setattr("storage.parts.FEWEST_PARTS", 100)
    extract(data, tmp_path / "c.parquet", StubRunner(batch=1), tmp_path / "many")
    assert len(list((tmp_path / "many").glob("spectra/*/part-*"))) == 60
