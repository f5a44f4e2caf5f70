"""``extract`` and ``rank`` of a data set of the hub, as a user types them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.studies.load import load_study

COMMIT = "e" * 40
ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gradpipe(tmp_path: Path, hub_like: Any) -> Run:
    """Run a command in an empty folder; a hub has ``org/name`` with a split of six rows."""
    folder = tmp_path / "repository"
    folder.mkdir()
    rows = [{"question": f"What is {n} + 1?", "answer": f"It is {n + 1}."} for n in range(6)]
    rows[3]["answer"] = ""
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub = hub_like(folder, "org/name", COMMIT)
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    environment |= {"PYTHONPATH": str(ROOT)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gradpipe.cli", *words],
            env=os.environ | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_spectra_and_ranks_of_a_slice_say_which_commit_they_are_of(
    gradpipe: Run, small_model: Path, tmp_path: Path
) -> None:
    data = ("hub:org/name", "--split", "train[1:]")
    model = ("--model", str(small_model))
    done = gradpipe("extract", *data, *model, "--limit", "3", "--out", "spectra.parquet")
    assert done.returncode == 0, done.stderr
    assert COMMIT in done.stderr
    spectra = tmp_path / "spectra.parquet"
    assert pl.read_parquet_metadata(spectra)["data_revision"] == COMMIT
    assert pl.read_parquet(spectra)["example"].unique().sort().to_list() == [0, 1]
    assert "row 2 cannot be used: the response is empty" in done.stderr

    done = gradpipe("rank", *data, *model)
    assert done.returncode == 0, done.stderr
    ranked = tmp_path / "name.ranked.parquet"
    assert pl.read_parquet_metadata(ranked)["data_revision"] == COMMIT
    table = pl.read_parquet(ranked)
    assert table.columns == ["question", "answer", "score", "rank", "reason"]
    assert sorted(table["answer"]) == ["", *(f"It is {n}." for n in (2, 3, 5, 6))]


def test_a_bare_name_of_a_data_set_is_answered_with_how_to_write_it(
    gradpipe: Run, small_model: Path
) -> None:
    done = gradpipe("extract", "org/name", "--model", str(small_model), "--out", "s.parquet")
    assert done.returncode == 2
    assert "write hub:org/name" in done.stderr
    done = gradpipe("rank", "a.jsonl", "--split", "train", "--model", str(small_model))
    assert done.returncode == 2
    assert "--split is for a data set of the hub" in done.stderr


def test_a_new_study_has_the_rows_that_were_looked_at(gradpipe: Run, tmp_path: Path) -> None:
    done = gradpipe("init", "new.yaml", "--data", "hub:org/name", "--split", "train[:4]", "--yes")
    assert done.returncode == 0, done.stderr
    entry = load_study(str(tmp_path / "new.yaml")).benchmarks[0]
    assert (entry.source, entry.path, entry.split) == ("hub", "org/name", "train[:4]")
    assert "style given" in done.stderr
