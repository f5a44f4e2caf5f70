"""The stand-alone extractor: a data file in, the table of the contract out."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol
from tests.standalone.extractions import run_extraction

ROWS = [
    {"instruction": "Add.", "input": "2 2", "output": "4"},
    {"instruction": "Say nothing.", "input": "", "output": ""},
    {"instruction": "Name a colour, please.", "input": "", "output": "Blue, or a shade of it."},
    {"instruction": "Q" * 130, "input": "", "output": "A"},
    {"instruction": "Add.", "input": "2 2", "output": "4"},
]
EMPTY = "the response is empty"
AWAY = "the response was truncated away: the prompt alone fills the window of 128 tokens"
COLUMNS = {
    "example": pl.Int64,
    "span": pl.String,
    "loss": pl.Float64,
    "tokens": pl.Int64,
    "response_tokens": pl.Int64,
    "truncated": pl.Boolean,
    "layer": pl.Int64,
    "projection": pl.String,
    "nuclear_norm": pl.Float64,
    "spectral_norm": pl.Float64,
    "sigma1_ratio": pl.Float64,
    "frobenius_norm": pl.Float64,
    "effective_rank": pl.Float64,
    "next_layer_cosine": pl.Float32,
    "q_o_cosine": pl.Float32,
    "q_ot_cosine": pl.Float32,
    "k_v_cosine": pl.Float32,
    "layer_type": pl.String,
    "token_norms": pl.Float64,
    "token_energy": pl.Float64,
    "singular_values": pl.List(pl.Float32),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(ROWS))
    return path


def extract(
    data: Path, model: Path | str, protocol: Protocol = STANDARD, **settings: Any
) -> tuple[pl.DataFrame, list[tuple[int, str]], int]:
    out = data.with_name("out.parquet")
    unusable, usable = run_extraction(str(data), str(model), out, protocol, **settings)
    return pl.read_parquet(out), unusable, usable


def test_the_table_has_a_row_for_every_example_layer_and_projection(
    data: Path, tiny_folder: Path
) -> None:
    table, unusable, usable = extract(data, tiny_folder)
    assert table.schema == COLUMNS
    assert usable == 3
    assert unusable == [(1, EMPTY), (3, AWAY)]
    places = [(e, layer, p) for e in (0, 2, 4) for layer in range(3) for p in "qkvo"]
    assert table.select("example", "layer", "projection").rows() == places
    assert table["tokens"].unique(maintain_order=True).to_list() == [9 + 1, 23 + 23]
    assert table["response_tokens"].unique(maintain_order=True).to_list() == [1, 23]


def test_the_statistics_are_those_of_the_singular_values(data: Path, tiny_folder: Path) -> None:
    table, _, _ = extract(data, tiny_folder)
    for row in table.iter_rows(named=True):
        values = np.array(row["singular_values"], dtype=np.float64)
        assert (np.diff(values) <= 0).all()
        assert row["nuclear_norm"] == pytest.approx(values.sum())
        assert row["spectral_norm"] == pytest.approx(values[0])
        assert row["frobenius_norm"] == pytest.approx(math.hypot(*values), rel=1e-6)
        assert row["sigma1_ratio"] == pytest.approx(values[0] / values.sum())
        shares = values[values > 0] / values.sum()
        assert row["effective_rank"] == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))


def test_cosines_stand_in_every_row_of_their_layer(data: Path, tiny_folder: Path) -> None:
    table, _, _ = extract(data, tiny_folder)
    inside = ("q_o_cosine", "q_ot_cosine", "k_v_cosine")
    of_layer = table.group_by("example", "layer").agg(pl.col(inside).n_unique())
    assert of_layer.select(inside).unique().rows() == [(1, 1, 1)]
    assert table["q_ot_cosine"].is_between(-1, 1).all()
    last = pl.col("layer") == 2
    assert table.filter(last)["next_layer_cosine"].is_null().all()
    assert table.filter(~last)["next_layer_cosine"].is_between(-1, 1).all()


def test_rows_that_are_cut_to_the_window_are_marked_and_counted(
    data: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A byte is a token: of the 116 + 1 + 60, the window of 128 keeps 11 of the response.
    data.write_text(json.dumps([{"instruction": "Q" * 116, "output": "A" * 60}, *ROWS]))
    table, unusable, usable = extract(data, tiny_folder, make_protocol(spans="think"))
    assert (usable, unusable) == (4, [(2, EMPTY), (4, AWAY)])
    # With the rows of the spans.
    by_example = table.group_by("example").agg(pl.col("truncated", "response_tokens").unique())
    assert by_example.sort("example").rows() == [
        (0, [True], [11]),
        (1, [False], [1]),
        (3, [False], [23]),
        (5, [False], [1]),
    ]
    notes = [message for message in caplog.messages if "window" in message]
    assert len(notes) == 1
    assert re.findall("[0-9]+", notes[0]) == ["128", "1", "4"]
    caplog.clear()
    extract(data, tiny_folder, offset=1)
    assert not any("window" in message for message in caplog.messages)


def test_unusable_rows_stand_in_the_files_metadata(data: Path, tiny_folder: Path) -> None:
    extract(data, tiny_folder)
    metadata = pl.read_parquet_metadata(data.with_name("out.parquet"))
    assert json.loads(metadata["unusable"]) == [[1, EMPTY], [3, AWAY]]


def test_a_part_of_the_data_keeps_its_row_numbers(data: Path, tiny_folder: Path) -> None:
    whole, _, _ = extract(data, tiny_folder)
    part, unusable, usable = extract(data, tiny_folder, offset=2, limit=2)
    assert (usable, unusable) == (1, [(3, AWAY)])
    assert_frame_equal(part, whole.filter(pl.col("example") == 2), rel_tol=1e-4)
    rest, _, _ = extract(data, tiny_folder, offset=4, limit=100)
    assert rest["example"].unique().to_list() == [4]


def test_data_of_unusable_rows_only_gives_an_empty_table_and_all_reasons(
    data: Path, tiny_folder: Path
) -> None:
    table, unusable, usable = extract(data, tiny_folder, offset=1, limit=1)
    assert (usable, unusable) == (0, [(1, EMPTY)])
    assert table.is_empty()
    assert table.schema == COLUMNS


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_every_kind_of_data_file_gives_the_same_table(
    kind: str, data: Path, tiny_folder: Path
) -> None:
    expected, _, _ = extract(data, tiny_folder, limit=1)
    other, rows = data.with_suffix(f".{kind}"), pl.DataFrame(ROWS)
    {"jsonl": rows.write_ndjson, "csv": rows.write_csv, "parquet": rows.write_parquet}[kind](other)
    found, _, _ = extract(other, tiny_folder, limit=1)
    assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([{"instruction": "a", "answer": "b"}], "'output'"),
        ([{"question": "a", "output": "b"}], "'instruction'"),
        ([], "data.json"),
        ([{"instruction": "a", "output": ["b", "c"]}], r"'output' .*List\(String\)"),
        ([{"instruction": "a", "output": "b" * 129}], "128 tokens"),
    ],
    ids=["no output", "no instruction", "no rows", "a list of outputs", "an overlong response"],
)
def test_data_that_cannot_be_used_is_refused_and_nothing_is_written(
    content: Any, named: str, data: Path, tiny_folder: Path
) -> None:
    data.write_text(json.dumps(content))
    before = sorted(data.parent.iterdir())
    with pytest.raises(DataError, match=named):
        extract(data, tiny_folder)
    assert sorted(path for path in data.parent.iterdir() if path.name != "cache") == before


def test_an_offset_beyond_the_data_is_refused(data: Path, tiny_folder: Path) -> None:
    with pytest.raises(DataError, match="5 rows.* offset"):
        extract(data, tiny_folder, offset=5)
    assert not data.with_name("out.parquet").exists()


def test_an_overlong_response_is_named_by_its_row_in_the_data(
    data: Path, tiny_folder: Path
) -> None:
    data.write_text(json.dumps([*ROWS, {"instruction": "Q", "output": "x" * 200}]))
    with pytest.raises(DataError, match=r"1 of 3 .*row 5 .*200"):
        extract(data, tiny_folder, offset=3)


def test_a_missing_file_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        extract(tmp_path / "nowhere.json", tiny_folder)


def test_a_place_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    data: Path, tmp_path: Path
) -> None:
    for out in (tmp_path, tmp_path / "no" / "such" / "folder.parquet"):
        with pytest.raises(DataError, match=re.escape(str(out))):
            run_extraction(str(data), "no/model", out, STANDARD)


def test_a_missing_chat_template_is_refused(data: Path, tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="chat template"):
        extract(data, tiny_folder, make_protocol("paper", chat=True))
    assert not data.with_name("out.parquet").exists()


def test_an_earlier_table_stays_whole_where_a_later_run_fails(
    data: Path, tiny_folder: Path
) -> None:
    table, _, _ = extract(data, tiny_folder, PAPER)
    data.write_text("[]")
    with pytest.raises(DataError):
        extract(data, tiny_folder)
    assert_frame_equal(pl.read_parquet(data.with_name("out.parquet")), table)
