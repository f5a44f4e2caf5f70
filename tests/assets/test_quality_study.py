"""A study of data quality, from stand-ins of the sequel's files to the verdicts of the report."""

import json
from pathlib import Path

import polars as pl
import pytest

from gradpipe.benchmarks.sources.quality_release import QUALITY_FILES
from gradpipe.claims.quality.claims import ALL_SEQUEL_CLAIMS
from gradpipe.studies.load import load_study
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import run

BENCHMARKS = ("wiz_reward", "reasoning_r1")
ITEMS = 9


def write_stand_ins(folder: Path) -> None:
    """Files in the places and of the shape of the sequel's, with texts of other lengths."""
    for words, benchmark in enumerate(BENCHMARKS, start=2):
        files = QUALITY_FILES[benchmark]
        for side, repeated in ((files.low, words), (files.high, 3 * words)):
            rows = [
                {
                    "instruction": f"Say {number} in {side}.",
                    "output": f"It is {number}" + f" and {number}" * (repeated + number % 5),
                }
                for number in range(ITEMS)
            ]
            (folder / side).parent.mkdir(parents=True, exist_ok=True)
            (folder / side).write_text(json.dumps(rows), "utf-8")


@pytest.fixture
def tables(tmp_path: Path, home: Path, small_model: Path) -> Path:
    """The tables of the report on one small model."""
    write_stand_ins(tmp_path / "release")
    entry = {"source": "quality_release", "path": str(tmp_path / "release"), "checksums": False}
    study = load_study("quality").model_dump() | {
        "models": [{"id": str(small_model), "name": "small"}],
        "benchmarks": [entry | {"name": name} for name in BENCHMARKS],
        "sample": None,
        "claims": ["quality_high > quality_low on stable_rank"],
    }
    run(Study.model_validate(study))
    return Workspace.current().report_folder / "tables"


@pytest.mark.slow
def test_every_claim_of_the_sequel_is_judged_from_the_release_to_the_report(tables: Path) -> None:
    verdicts = pl.read_csv(tables / "verdicts.csv", infer_schema_length=None)
    # One model has no other of its family beside it.
    statements = {claim.statement for claim in ALL_SEQUEL_CLAIMS if claim.group != "S4"}
    assert statements <= set(verdicts["statement"])
    own = verdicts.filter(pl.col("statement").str.contains("stable_rank"))
    assert set(own["pairing"]) == {"unpaired"}
    assert set(own["items"]) == {ITEMS}
    curves = pl.read_csv(tables / "curves.csv")
    assert set(curves["style"]) == {"quality_low", "quality_high"}
    # A power law is fitted to long spectra only.
    assert set(curves.filter(statistic="nuclear_norm")["examples"]) == {ITEMS}
