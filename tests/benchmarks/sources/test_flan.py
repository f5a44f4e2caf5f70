"""FLAN's raw files are read whole, with quotes as ordinary characters."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.sources import flan
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


#: Rows of the release's 500 that are the same here: question, ``no_cot`` and ``with_cot`` text.
REBUILT = {
    "plain": {
        "aqua": 500,
        "creak": 426,
        "ecqa": 500,
        "gsm8k": 500,
        "sensemaking": 500,
        "strategyqa": 496,
    },
    "csv": {
        "aqua": 500,
        "creak": 500,
        "ecqa": 500,
        "gsm8k": 500,
        "sensemaking": 500,
        "strategyqa": 498,
    },
}


def _texts(items: pl.DataFrame) -> list[tuple[str, str, str]]:
    """Question, ``none`` and ``simplified`` of every row."""
    rows = []
    for instruction, responses in items.select("instruction", "responses").iter_rows():
        correct = {r["style"]: r["text"] for r in responses if r["relevance"] == "correct"}
        rows.append((instruction, correct["none"], correct["simplified"]))
    return rows


@pytest.mark.parametrize("quotes", REBUILT)
@pytest.mark.parametrize("name", ROWS)
def test_the_papers_texts_are_rebuilt(
    name: str, quotes: str, flan_folder: Path, release_folder: Path
) -> None:
    ours = set(_texts(read_items(config(name, flan_folder, quotes=quotes))))
    path = str(release_folder)
    paper = _texts(read_items(BenchmarkConfig(name=name, source="release", path=path)))
    assert sum(row in ours for row in paper) == REBUILT[quotes][name]


def test_what_is_not_rebuilt_is_a_doubled_ending_of_the_paper(
    flan_folder: Path, release_folder: Path
) -> None:
    ours = set(_texts(read_items(config("strategyqa", flan_folder, quotes="csv"))))
    path = str(release_folder)
    paper = _texts(read_items(BenchmarkConfig(name="strategyqa", source="release", path=path)))
    left = [(row, texts) for row, texts in enumerate(paper) if texts not in ours]
    assert [row for row, _ in left] == [332, 437]
    for _, (question, none, simplified) in left:
        [rationale] = {text.partition("\n")[0] for q, _, text in ours if q == question}
        doubled = f"{rationale}\nThe final answer is {rationale}\nThe final answer is {none}"
        assert simplified == doubled


def test_quote_handling_drops_the_quotes_around_the_start_of_a_question(flan_folder: Path) -> None:
    plain, csv = (
        read_items(config("creak", flan_folder, quotes=quotes))["instruction"]
        for quotes in ("plain", "csv")
    )
    assert plain[1].startswith('"Marlboro used iconic imagery to promote its brand."\\nIs the ')
    assert csv[1].startswith("Marlboro used iconic imagery to promote its brand.\\nIs the ")
    assert (plain != csv).sum() == plain.str.starts_with('"').sum() == 975


@pytest.mark.parametrize("name", ROWS)
def test_literal_line_breaks_become_real_ones_on_request(name: str, flan_folder: Path) -> None:
    kept, real = (
        read_items(config(name, flan_folder, line_breaks=how)) for how in ("source", "real")
    )
    for column in ("instruction", "rationale"):
        assert not real[column].str.contains("\\n", literal=True).any()
        turned = kept[column].str.replace_all("\\n", "\n", literal=True)
        assert real[column].equals(turned.str.strip_chars())
    escaped = name in ("aqua", "creak", "ecqa", "sensemaking")
    assert real["instruction"].str.contains("\n").all() == escaped
    assert real["answer"].equals(kept["answer"])


def test_how_a_file_is_read_is_part_of_its_version(flan_folder: Path) -> None:
    settings: list[dict[str, str]] = [{}, {"quotes": "csv"}, {"line_breaks": "real"}]
    versions = [source_version(config("creak", flan_folder, **these)) for these in settings]
    assert len(set(versions)) == 3
    same = source_version(config("creak", flan_folder, line_breaks="escaped"))
    assert same == versions[0]


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


@pytest.mark.parametrize("quotes", ["plain", "csv"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n", "has 2 tab-separated columns instead of"),
        ("a\tb\tc\nd\te\tf\tg\n", "is not tab-separated text"),
        ("", "is not tab-separated text"),
    ],
)
def test_a_file_that_is_not_three_columns_is_refused(
    content: str, message: str, quotes: str, write: Any
) -> None:
    path = write("aqua_train.tsv", content)
    with pytest.raises(DataError, match=message):
        read_items(config("aqua", path.parent, checksums=False, quotes=quotes))
