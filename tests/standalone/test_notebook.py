"""What `import gradpipe as gp` gives a notebook: spectra and rankings of examples in memory."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.protocol import PAPER, STANDARD
from gradpipe.models.load import LoadedModel, load_model
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import Extras
from gradpipe.standalone.notebook import extract_spectra, rank
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.rank_file import rank_file
from gradpipe.standalone.user_examples import to_examples
from gradpipe.statistics.table import statistics_table
from tests.standalone.extractions import run_extraction

ROWS = [
    {"instruction": "Add.", "input": "2 2", "output": "4"},
    {"instruction": "Say nothing.", "input": "", "output": ""},
    {"instruction": "Name a color, please.", "input": "", "output": "Blue, or a shade of it."},
    {"instruction": "Q" * 130, "input": "", "output": "A"},
]


@pytest.fixture
def loaded(tiny_folder: Path) -> LoadedModel:
    return load_model(str(tiny_folder))


@pytest.fixture
def files(tmp_path: Path, tiny_folder: Path) -> tuple[Path, Path]:
    """A data file, and what `gradpipe extract` writes for it."""
    data, out = tmp_path / "data.json", tmp_path / "spectra.parquet"
    data.write_text(json.dumps(ROWS))
    run_extraction(str(data), str(tiny_folder), out, STANDARD)
    return data, out


@pytest.mark.parametrize("form", [list, pl.DataFrame])
def test_spectra_are_those_of_the_command(
    form: Any, files: tuple[Path, Path], loaded: LoadedModel
) -> None:
    found = extract_spectra(loaded.model, loaded.tokenizer, form(ROWS))
    assert_frame_equal(found, pl.read_parquet(files[1]))


def test_a_protocol_is_given_by_its_name_or_whole(loaded: LoadedModel) -> None:
    named = extract_spectra(loaded.model, loaded.tokenizer, ROWS[:1], "paper")
    assert_frame_equal(named, extract_spectra(loaded.model, loaded.tokenizer, ROWS[:1], PAPER))
    with pytest.raises(StudyError, match="'paper'"):
        extract_spectra(loaded.model, loaded.tokenizer, ROWS[:1], "papers")


def test_examples_that_are_cut_to_the_window_are_marked_and_counted(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [("Q" * 120, "A" * 60), ("Q", "A")]
    found = extract_spectra(loaded.model, loaded.tokenizer, pairs)
    assert found.filter(pl.col("truncated"))["example"].unique().to_list() == [0]
    # Without a handler of the notebook's, only warnings are shown.
    assert [(r.levelname, "1 of 2" in r.getMessage()) for r in caplog.records] == [
        ("WARNING", True)
    ]
    statistics = statistics_table(found)
    assert statistics["item_id"].unique().sort().to_list() == ["0", "1"]
    assert rank(found)["example"].to_list() == rank(found.drop("truncated"))["example"].to_list()


def test_no_examples_give_an_empty_table(loaded: LoadedModel) -> None:
    none = extract_spectra(loaded.model, loaded.tokenizer, [])
    assert none.is_empty()
    assert none.schema == extract_spectra(loaded.model, loaded.tokenizer, ROWS[:1]).schema
    assert rank(none).is_empty()


def test_a_ranking_of_examples_is_that_of_the_command(
    files: tuple[Path, Path], loaded: LoadedModel, tmp_path: Path
) -> None:
    data, spectra = files
    order = RankOrder(by="nuclear_norm")
    expected = rank_file(str(data), tmp_path / "ranked.json", order, spectra)
    found = rank(ROWS, loaded.model, loaded.tokenizer, by="nuclear_norm")
    assert_frame_equal(
        found, expected.rename({"row": "example"}).select(found.columns), rel_tol=1e-6
    )
    assert found.columns == ["example", "score", "rank", "reason", "instruction", "response"]
    assert found["rank"].to_list() == [1, 2, None, None]
    assert "response" in found["reason"][2]


def test_a_ranking_of_examples_adds_what_the_command_adds(
    files: tuple[Path, Path], loaded: LoadedModel, tiny_folder: Path, tmp_path: Path
) -> None:
    data, _ = files
    target = [("Name a color.", "Blue.")]
    cases: list[dict[str, Any]] = [
        {"target": target, "extra": ["loss", "ifd"]},
        {"diverse": True, "top": 2},
        {"target": target, "sort": "score", "ascending": True},
    ]
    for settings in cases:
        extras = Extras(
            names=settings.get("extra", []),
            target=to_examples(settings["target"]) if "target" in settings else None,
            diverse=settings.get("diverse", False),
        )
        how = {name: settings[name] for name in ("top", "sort", "ascending") if name in settings}
        order = RankOrder(by="nuclear_norm", extras=extras, **how)
        expected = rank_file(
            str(data),
            tmp_path / "ranked.json",
            order,
            ExampleRunner(str(tiny_folder), STANDARD),
            overwrite=True,
        )
        found = rank(ROWS, loaded.model, loaded.tokenizer, by="nuclear_norm", **settings)
        assert_frame_equal(
            found, expected.rename({"row": "example"}).select(found.columns), rel_tol=1e-6
        )
        assert set(extras.columns) <= set(found.columns)


def test_spectra_alone_have_no_further_scores(
    files: tuple[Path, Path], loaded: LoadedModel
) -> None:
    spectra = extract_spectra(loaded.model, loaded.tokenizer, ROWS)
    cases: list[dict[str, Any]] = [{"diverse": True}, {"extra": ["loss"]}, {"target": ROWS}]
    for settings in cases:
        with pytest.raises(DataError, match="model"):
            rank(spectra, **settings)


def test_a_ranking_of_spectra_has_the_same_scores(
    files: tuple[Path, Path], loaded: LoadedModel
) -> None:
    spectra = pl.read_parquet(files[1])
    whole = rank(ROWS, loaded.model, loaded.tokenizer, by="stable_rank")
    found = rank(spectra, by="stable_rank")
    assert_frame_equal(found, whole.select(found.columns).drop_nulls("score"), rel_tol=1e-6)
    assert found.columns == ["example", "score", "rank", "reason"]
    assert rank(spectra, by="stable_rank", ascending=True)["example"].to_list() == list(
        reversed(found["example"].to_list())
    )
    assert rank(spectra, by="stable_rank", top=0.5).height == 1
    # A table with statistics but without spectra has scores of these statistics.
    short = spectra.drop("singular_values")
    assert_frame_equal(rank(short), rank(spectra))
    with pytest.raises(StudyError, match="'tail_exponent'"):
        rank(short, by="tail_exponent")


@pytest.mark.parametrize(
    ("data", "given", "named"),
    [
        (ROWS, (), "model and tokenizer"),
        (pl.DataFrame(ROWS), (), "'example'"),
        (ROWS, ("model",), "tokenizer"),
        (ROWS, ("tokenizer",), "model"),
    ],
)
def test_examples_without_a_model_are_refused(
    data: Any, given: tuple[str, ...], named: str, loaded: LoadedModel
) -> None:
    with pytest.raises(DataError, match=named):
        rank(data, **{name: getattr(loaded, name) for name in given})
