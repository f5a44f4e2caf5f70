"""Scores beside a ranking's own: loss, length, perplexity, IFD, a target set, a diverse choice."""

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.protocol import STANDARD
from gradpipe.models.load import load_model
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import Extras, added_columns
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.rank_file import rank_file
from gradpipe.statistics.sets.target_alignment import TARGET_ROWS
from tests.standalone.extractions import run_extraction

PAIRS = [
    ("Add 2 and 2.", "4"),
    ("Add 2 and 2.", "It is 4."),
    ("Name a color.", "Blue, or a shade of it."),
    ("Say nothing.", ""),
    ("Name a color.", "Blue, or a shade of it."),
    ("Count to three.", "One, two, three."),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"instruction": a, "output": b} for a, b in PAIRS]))
    return path


def ranked(data: Path, model: Path, extras: Extras, **settings: Any) -> pl.DataFrame:
    runner = ExampleRunner(str(model), STANDARD)
    out = data.with_name("out.json")
    order = RankOrder(by="nuclear_norm", extras=extras, **settings)
    found = rank_file(str(data), out, order, runner, overwrite=True)
    written = pl.DataFrame(json.loads(out.read_text()), infer_schema_length=None)
    for name in extras.columns:
        assert written[name].to_list() == found[name].to_list()
    return found


def test_loss_length_perplexity_and_ifd_are_those_of_two_forward_passes(
    data: Path, tiny_folder: Path
) -> None:
    extras = Extras(names=["loss", "tokens", "ppl", "ifd"])
    order = ranked(data, tiny_folder, extras).sort("row")
    loaded = load_model(str(tiny_folder))
    runner = ExampleRunner(str(tiny_folder), STANDARD)
    rows = runner.encode([Pair(*pair) for pair in PAIRS])
    assert order.row(3, named=True)["ifd"] is None
    for number, row in enumerate(rows):
        if row.reason:
            continue
        own = row.ids[row.start :]
        contexts = (row.ids[: row.start], [loaded.tokenizer.bos_token_id])
        losses = []
        for context in contexts:
            ids = torch.tensor([context + own])
            labels = torch.tensor([[-100] * len(context) + own])
            losses.append(float(loaded.model(input_ids=ids, labels=labels).loss))
        scores = order.row(number, named=True)
        assert scores["response_tokens"] == len(own)
        assert scores["loss"] == pytest.approx(losses[0], rel=1e-5)
        assert scores["perplexity"] == pytest.approx(math.exp(losses[0]), rel=1e-4)
        assert scores["ifd"] == pytest.approx(math.exp(losses[0] - losses[1]), rel=1e-4)


def test_a_perplexity_beyond_the_largest_float_is_null() -> None:
    measured = pl.DataFrame({"row": [0, 1], "loss": [800.0, 1.0], "response_tokens": [1, 1]})
    added = added_columns(measured, Extras(names=["ifd"]), [1.0, 801.0])
    assert added["perplexity"].to_list() == [None, pytest.approx(math.e)]
    assert added["ifd"].to_list() == [None, 0.0]


def test_spectra_give_loss_length_and_perplexity_without_a_model(
    data: Path, tiny_folder: Path
) -> None:
    extras = Extras(names=["loss", "tokens", "ppl"])
    expected = ranked(data, tiny_folder, extras)
    spectra, out = data.with_name("spectra.parquet"), data.with_name("out.json")
    run_extraction(str(data), str(tiny_folder), spectra, STANDARD)
    order = RankOrder(by="nuclear_norm", extras=extras)
    found = rank_file(str(data), out, order, spectra, overwrite=True)
    assert found.columns == expected.columns
    for name in extras.columns:
        assert found[name].to_list() == [
            value and pytest.approx(value, rel=1e-6) for value in expected[name]
        ]
    for impossible in (
        Extras(names=["ifd"]),
        Extras(diverse=True),
        Extras(target=[Pair(*PAIRS[0])]),
    ):
        order = RankOrder(by="nuclear_norm", extras=impossible)
        with pytest.raises(DataError, match="--model"):
            rank_file(str(data), out, order, spectra, overwrite=True)


def test_rows_like_the_target_come_first_and_are_counted(
    data: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extras = Extras(target=[Pair(*PAIRS[2])], target_name="wanted.json")
    order = ranked(data, tiny_folder, extras)
    assert order["row"].head(2).sort().to_list() == [2, 4]
    assert order["target_cosine"].head(2).to_list() == pytest.approx([1, 1], abs=1e-3)
    cosines = order["target_cosine"].drop_nulls().to_list()
    assert cosines == sorted(cosines, reverse=True)
    # One target example is its own mean.
    assert order["target_cosine_max"].drop_nulls().to_list() == pytest.approx(cosines)
    assert order.row(-1, named=True)["target_cosine"] is None
    [note] = [r.getMessage() for r in caplog.records if "wanted.json" in r.getMessage()]
    assert note.startswith("2 of 6 rows")
    assert "row 2" in note


def test_a_diverse_choice_leaves_the_twin_out(data: Path, tiny_folder: Path) -> None:
    extras = Extras(names=["loss"], diverse=True)
    order = ranked(data, tiny_folder, extras, top=4)
    assert order["diverse_rank"].to_list() == [1, 2, 3, 4]
    assert order["rank"][0] == 1
    assert len({2, 4} & set(order["row"])) == 1
    everything = ranked(data, tiny_folder, extras)
    assert everything["row"].head(4).to_list() == order["row"].to_list()
    assert everything["row"][4] in (2, 4)
    assert everything["row"][5] == 3
    assert everything["diverse_rank"].to_list() == [1, 2, 3, 4, 5, None]
    assert ranked(data, tiny_folder, extras, top=0.2).height == 1


@pytest.mark.parametrize("column", ["loss", "ifd", "score", "response_tokens"])
@pytest.mark.parametrize("ascending", [False, True])
def test_rows_are_sorted_by_any_added_column(
    column: str, ascending: bool, data: Path, tiny_folder: Path
) -> None:
    extras = Extras(names=["loss", "ifd", "tokens"])
    order = ranked(data, tiny_folder, extras, sort=column, ascending=ascending)
    values = order[column].to_list()
    assert values[-1] is None
    assert values[:-1] == sorted(values[:-1], reverse=not ascending)
    assert order["rank"].to_list() == [1, 2, 3, 4, 5, None]


def test_invalid_extras_are_refused(data: Path, tiny_folder: Path) -> None:
    with pytest.raises(StudyError, match="'ppl'"):
        Extras(names=["pplx"])
    with pytest.raises(DataError, match="1,001 rows"):
        Extras(target=[Pair("a", "b")] * (TARGET_ROWS + 1))
    with pytest.raises(StudyError, match="'target_cosine'"):
        ranked(data, tiny_folder, Extras(target=[Pair("a", "b")]), sort="target")
    with pytest.raises(DataError, match=r"wanted\.json"):
        ranked(data, tiny_folder, Extras(target=[Pair("a", "")], target_name="wanted.json"))
    rows = json.loads(data.read_text())
    data.write_text(json.dumps([{**row, "loss": 1} for row in rows]))
    with pytest.raises(DataError, match="'loss'"):
        ranked(data, tiny_folder, Extras(names=["loss"]))
