"""A token without an embedding makes its row unusable, and no other, in every path."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from tokenizers import AddedToken

from gradpipe.cli import main
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.tokens import TokenRow, unusable_row
from gradpipe.gradients.vocabulary import beyond_vocabulary, within_vocabulary
from gradpipe.models.load import load_model, load_tokenizer
from gradpipe.standalone.notebook import extract_spectra, rank
from tests.conftest import save_small_model

ROWS = [
    {"instruction": "What is 6 times 7?", "output": "<think>6x7</think>42"},
    {"instruction": "Say hi.", "output": "Hi there!"},
]
REASON = "the token id 257 is beyond the model's 256 embeddings"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer was given two tokens, and whose embeddings were not resized."""
    folder = tmp_path_factory.mktemp("vocabulary") / "model"
    save_small_model(folder)
    tokenizer = load_tokenizer(str(folder))
    tokenizer.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def gradpipe(*words: object) -> str:
    shown = CliRunner().invoke(main, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_a_row_is_unusable_from_the_first_id_without_an_embedding() -> None:
    row = TokenRow(ids=[3, 255], start=1, truncated=False)
    assert within_vocabulary(row, 256) is row
    assert within_vocabulary(row, 255).reason == beyond_vocabulary([255], 255)
    assert within_vocabulary(unusable_row("empty"), 0).reason == "empty"
    assert beyond_vocabulary([], 1) is None


@pytest.mark.parametrize("options", [[], ["--spans", "think"], ["--protocol", "training"]])
def test_extract_names_the_row_and_measures_the_others(
    options: list[str], model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "spectra.parquet"
    said = gradpipe("extract", data, "--model", model, "--out", out, *options)
    assert f"row 0 cannot be used: {REASON}" in said
    assert pl.read_parquet(out)["example"].unique().to_list() == [1]


def test_look_counts_the_row_as_unusable(model: Path, data: Path) -> None:
    said = gradpipe("look", data, "--model", model)
    assert "rows that cannot be used: 1" in said
    assert REASON in said


def test_rank_scores_the_other_rows_by_losses_too(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "ranked.jsonl"
    gradpipe("rank", data, "--model", model, "--with", "loss,ifd", "--out", out)
    first, last = map(json.loads, out.read_text().splitlines())
    assert first["output"] == "Hi there!"
    assert first["ifd"] > 0
    assert last["reason"].startswith(REASON)
    assert last["score"] is last["ifd"] is None


def test_a_conversation_is_unusable_by_one_of_its_turns(
    model: Path, data: Path, tmp_path: Path
) -> None:
    turns = [{"role": role, "content": role} for role in ("user", "assistant") * 2]
    turns[1]["content"] = "<think>"
    data.write_text(
        json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": turns[2:]}) + "\n"
    )
    template = tmp_path / "own.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    out = tmp_path / "spectra.parquet"
    options = ["--protocol", "training", "--chat-template", template]
    said = gradpipe("extract", data, "--model", model, "--out", out, *options)
    assert "row 0 cannot be used: the token id 256 is beyond" in said
    assert pl.read_parquet(out)["example"].unique().to_list() == [1]


def test_a_notebook_leaves_the_row_out(model: Path) -> None:
    loaded = load_model(str(model))
    spectra = extract_spectra(loaded.model, loaded.tokenizer, pl.DataFrame(ROWS))
    assert spectra.filter(pl.col("reason").is_null())["example"].unique().to_list() == [1]
    assert spectra.drop_nulls("reason")["example"].to_list() == [0]
    ranked = rank(pl.DataFrame(ROWS), loaded.model, loaded.tokenizer, make_protocol("standard"))
    assert ranked["example"].to_list() == [1, 0]
    assert ranked["reason"][1].startswith(REASON)


def test_another_tokenizer_makes_the_row_usable(
    model: Path, small_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "spectra.parquet"
    words = ["extract", data, "--model", model, "--out", out, "--tokenizer", small_model]
    said = gradpipe(*words)
    assert f"uses the tokenizer of {small_model}, instead of its own" in said
    assert pl.read_parquet(out)["example"].unique().to_list() == [0, 1]
