"""``extract`` and the notebook measure an adapter's merged weights or its factors."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

import gradpipe as gp
from gradpipe.cli import main
from tests.adapted_models import adapted

PAIRS = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
STATISTICS = ("nuclear_norm", "spectral_norm", "effective_rank")


@pytest.mark.parametrize("reading", ["merged", "factors"])
def test_a_folder_on_the_command_line_and_a_wrapped_model_in_memory_agree(
    reading: str, small_model: Path, tmp_path: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(small_model)
    wrapped = adapted(base, ["q_proj", "v_proj"], use_dora=True)
    adapter, data, out = tmp_path / "adapter", tmp_path / "data.jsonl", tmp_path / "out.parquet"
    wrapped.save_pretrained(adapter)
    rows = [{"instruction": one, "output": other} for one, other in PAIRS]
    pl.DataFrame(rows).write_ndjson(data)
    command = ["extract", str(data), "--model", str(adapter), "--out", str(out)]
    options = ["--adapter", reading, "--base", str(small_model)]
    result = CliRunner().invoke(main, [*command, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = pl.read_parquet(out)
    tokenizer = gp.load_model(str(small_model)).tokenizer
    in_memory = gp.extract_spectra(wrapped, tokenizer, PAIRS, adapter=reading)  # type: ignore[arg-type]
    names = ["q", "k", "v", "o"]
    if reading == "factors":
        names = ["q_lora_a", "q_lora_b", "v_lora_a", "v_lora_b"]
    places = ["example", "layer", "projection"]
    assert found["projection"].unique(maintain_order=True).to_list() == names
    assert found.select(places).equals(in_memory.select(places))
    for statistic in STATISTICS:
        assert found[statistic].to_list() == pytest.approx(in_memory[statistic].to_list(), rel=1e-3)
    ranking = gp.rank(PAIRS, wrapped, tokenizer, adapter=reading)  # type: ignore[call-overload]
    means = in_memory.group_by("example").agg(pl.col("effective_rank").mean()).sort("example")
    assert ranking.sort("example")["score"].to_list() == pytest.approx(
        means["effective_rank"].to_list(), rel=1e-3
    )
