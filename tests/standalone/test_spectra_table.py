"""Rows of spans follow those of the whole response, and only the latter are ranked and averaged."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.gradients.protocol import make_protocol
from gradpipe.models.load import LoadedModel, load_model
from gradpipe.standalone.notebook import extract_spectra, rank
from gradpipe.standalone.ranking import score_spectra, score_spectra_file
from gradpipe.statistics.curves import curves
from gradpipe.statistics.table import statistics_table

PAIRS = [
    ("2 + 2?", "<think>\nTwo and two.\n</think>\n\nIt is 4."),
    ("A color?", "Blue."),
    ("Why?", "<think>Because"),
]


@pytest.fixture
def loaded(small_model: Path) -> LoadedModel:
    return load_model(str(small_model))


def extract(loaded: LoadedModel, **settings: Any) -> pl.DataFrame:
    protocol = make_protocol(**settings)
    table = extract_spectra(loaded.model, loaded.tokenizer, PAIRS, protocol)
    # Without the row that names an unusable example.
    return table.filter(pl.col("reason").is_null())


def test_rows_of_spans_follow_their_response(loaded: LoadedModel) -> None:
    table = extract(loaded, spans="think")
    blocks = table.select("example", "span").unique(maintain_order=True).rows()
    assert blocks == [(0, None), (0, "think"), (0, "answer"), (1, None), (1, "answer")]
    assert table.group_by("example", "span").len()["len"].to_list() == [12] * 5
    whole, think, answer = (
        table.filter(pl.col("example") == 0, pl.col("span").eq_missing(pl.lit(name)))
        for name in (None, "think", "answer")
    )
    # A byte a token.
    assert think["response_tokens"].unique().to_list() == [
        len("<think>\nTwo and two.\n</think>\n\n")
    ]
    assert answer["response_tokens"].unique().to_list() == [len("It is 4.")]
    tokens = think["response_tokens"] + answer["response_tokens"]
    assert tokens.equals(whole["response_tokens"])
    shares = think["loss"] * think["response_tokens"] + answer["loss"] * answer["response_tokens"]
    assert (shares / tokens).to_list() == pytest.approx(whole["loss"].to_list())
    norms = think["frobenius_norm"] + answer["frobenius_norm"]
    assert (whole["frobenius_norm"] <= norms * (1 + 1e-6)).all()
    assert think["q_o_cosine"].is_null().all()
    assert think["nuclear_norm"].is_not_null().all()


def test_only_whole_responses_are_ranked_and_averaged(loaded: LoadedModel, tmp_path: Path) -> None:
    table = extract(loaded, spans="steps", step_pattern="\\b(?=[TIB])")
    plain = table.filter(pl.col("span").is_null()).drop("span")
    assert table.height > plain.height
    for by in ("nuclear_norm", "stable_rank"):
        assert_frame_equal(score_spectra(table, by), score_spectra(plain, by))
        table.write_parquet(tmp_path / "t.parquet")
        assert_frame_equal(score_spectra_file(tmp_path / "t.parquet", by), score_spectra(plain, by))
        assert_frame_equal(rank(table, by=by), rank(plain, by=by))
    assert_frame_equal(statistics_table(table), statistics_table(plain))
    assert_frame_equal(curves(table), curves(plain))
    # A span's own curves: its rows, as if they were whole responses.
    second = table.filter(pl.col("span") == "step_2").drop("span")
    assert second["example"].unique().to_list() == [0, 2]
    norms = curves(second).filter(statistic="nuclear_norm")
    assert norms["examples"].unique().to_list() == [2]
