"""``--tokenizer``: a checkpoint without a tokenizer takes the one that is named."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradpipe.cli import main

ROWS = [
    {"instruction": "What is 6 times 7?", "output": "It is 42."},
    {"instruction": "Say hi.", "output": "Hi there!"},
]


@pytest.mark.parametrize("command", ["extract", "rank", "look", "correlate"])
def test_a_checkpoint_without_a_tokenizer_takes_the_one_that_is_named(
    command: str, small_model: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(small_model, tmp_path / "bare")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    rows = [{**row, "grade": number} for number, row in enumerate(ROWS * 3)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [command, str(data), "--model", str(bare)]
    words += {
        "extract": ["--out", str(tmp_path / "out.parquet")],
        "rank": ["--out", str(tmp_path / "out.jsonl")],
        "look": [],
        "correlate": ["--column", "grade", "--out", str(tmp_path / "out.csv")],
    }[command]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code != 0
    assert "--tokenizer" in refused.output
    shown = CliRunner().invoke(main, [*words, "--tokenizer", str(small_model)])
    assert shown.exit_code == 0, shown.output
    assert (
        f"uses the tokenizer of {small_model}, since it comes without a tokenizer" in shown.output
    )
