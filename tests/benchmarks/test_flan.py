"""FLAN's raw files are read whole, with quotes as ordinary characters."""

from pathlib import Path
from typing import Any

import pytest

from gradpipe.benchmarks import flan
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.errors import DataError

ROWS = {
    "aqua": 2728,
    "creak": 6915,
    "ecqa": 7112,
    "gsm8k": 7473,
    "sensemaking": 6070,
    "strategyqa": 2061,
}


def config(name: str, folder: Path, **settings: Any) -> BenchmarkConfig:
    return BenchmarkConfig(name=name, source="flan", path=str(folder), **settings)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_read(name: str, flan_folder: Path) -> None:
    items = read_items(config(name, flan_folder))
    assert items.height == items["item_id"].n_unique() == ROWS[name]
    assert items.select("instruction", "answer", "rationale").null_count().row(0) == (0, 0, 0)


def test_the_paper_sampled_its_rows_from_these(flan_folder: Path, release_folder: Path) -> None:
    raw = read_items(config("gsm8k", flan_folder))
    path = str(release_folder)
    paper = read_items(BenchmarkConfig(name="gsm8k", source="release", path=path))
    assert paper["instruction"].is_in(raw["instruction"].to_list()).all()
    one = raw.filter(raw["instruction"] == paper["instruction"][0]).row(0, named=True)
    assert [r["text"] for r in one["responses"]] == [
        r["text"] for r in paper["responses"][0] if r["relevance"] == "correct"
    ][:2]


def test_styles_are_the_answer_and_the_rationale_before_it(write: Any) -> None:
    path = write("creak_train.tsv", '"Is it" so?\tyes\tIt "is.\nIs it not?\tno\tIt is.\n')
    items = read_items(config("creak", path.parent, checksums=False))
    assert items["instruction"].to_list() == ['"Is it" so?', "Is it not?"]
    assert items["rationale"][0] == 'It "is.'
    assert [(r["style"], r["text"]) for r in items["responses"][0]] == [
        ("none", "yes"),
        ("simplified", 'It "is.\nThe final answer is yes'),
    ]


def test_an_altered_file_is_refused(write: Any) -> None:
    path = write("creak_train.tsv", "a\tb\tc\n")
    with pytest.raises(DataError, match="creak_train.tsv is not the pinned file"):
        read_items(config("creak", path.parent))


def test_pinned_files_have_a_version_without_network(flan_folder: Path) -> None:
    default = BenchmarkConfig(name="aqua", source="flan")
    assert source_version(default) == source_version(config("aqua", flan_folder))


def test_rows_lost_by_the_reader_are_noticed(flan_folder: Path, monkeypatch: Any) -> None:
    whole = flan.parse_tsv
    monkeypatch.setattr(flan, "parse_tsv", lambda data, name: whole(data, name).head(2000))
    with pytest.raises(DataError, match="read as 2000 rows instead of 2728.*please report"):
        read_items(config("aqua", flan_folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n", "has 2 tab-separated columns instead of"),
        ("a\tb\tc\nd\te\tf\tg\n", "is not tab-separated text"),
        ("", "is not tab-separated text"),
    ],
)
def test_a_file_that_is_not_three_columns_is_refused(
    content: str, message: str, write: Any
) -> None:
    path = write("aqua_train.tsv", content)
    with pytest.raises(DataError, match=message):
        read_items(config("aqua", path.parent, checksums=False))
