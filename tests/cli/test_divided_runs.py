"""A file that is divided into parts and shards on the command line, and put together again."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from gradpipe.cli import main

ROWS = [
    {"instruction": f"Say {n}.", "output": f"Well, {n}!" if n != 2 else "", "source": "ab"[n % 2]}
    for n in range(6)
]


def gradpipe(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.stderr.splitlines()[-1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_parts_and_shards_of_a_file_are_put_together(
    data: Path, small_model: Path, tmp_path: Path
) -> None:
    work, model = tmp_path / "work", ("--model", small_model)
    kept = (*model, "--work", work)
    shards, merged = tmp_path / "shards", tmp_path / "merged.parquet"
    assert gradpipe("extract", data, *kept, "--out", shards, "--shard-size", 4).exit_code == 0
    assert len(list(shards.iterdir())) == 2
    parts = []
    for source in "ba":
        where = ("--where", f"source = '{source}'")
        parts.append(tmp_path / f"{source}.parquet")
        # Every row is kept already.
        result = gradpipe("extract", data, *kept, *where, "--out", parts[-1])
        assert result.exit_code == 0, result.output
        assert "3 of 3 rows are kept" in result.stderr
    assert gradpipe("merge", *parts, "--out", merged).exit_code == 0
    table = pl.read_parquet(shards / "*.parquet")
    assert_frame_equal(pl.read_parquet(merged), table)
    assert table["example"].unique().to_list() == [0, 1, 3, 4, 5]

    by_number = ("--by", "nuclear_norm", "--offset", 1, "--limit", 4, "--overwrite")
    result = gradpipe("rank", data, *kept, *by_number)
    assert result.exit_code == 0, result.output
    assert "loading" not in result.stderr
    ranked = [json.loads(line) for line in (tmp_path / "data.ranked.jsonl").open()]
    assert [row["rank"] for row in ranked] == [1, 2, 3, None]
    assert sorted(row["instruction"] for row in ranked) == [f"Say {n}." for n in (1, 2, 3, 4)]
    whole = ("rank", data, "--by", "nuclear_norm", "--overwrite")
    for spectra in (shards, merged):
        assert gradpipe(*whole, "--spectra", spectra).exit_code == 0
        again = [json.loads(line) for line in (tmp_path / "data.ranked.jsonl").open()]
        assert [row for row in again if row in ranked or row["rank"]]
        assert len(again) == 6
    assert sorted(path.name for path in work.iterdir()) == ["scores", "spectra"]


def test_options_that_do_not_go_together_are_refused(data: Path, tmp_path: Path) -> None:
    words = ("extract", data, "--model", "no/model", "--out", tmp_path / "out.parquet")
    refused(gradpipe(*words, "--ray", "actors=2"), "--engine ray")
    refused(gradpipe(*words, "--where", "source ="), "--where")
    pytest.importorskip("ray")
    refused(gradpipe(*words, "--engine", "ray", "--ray", "actor=2"), "--ray actor")
    refused(gradpipe(*words, "--engine", "ray", "--ray", "actors"), "KEY=VALUE")
    rank = ("rank", data, "--model", "no/model")
    refused(gradpipe(*rank, "--engine", "ray", "--with", "ifd"), "--engine local")
    refused(gradpipe(*rank, "--keep-spectra"), "--work")
