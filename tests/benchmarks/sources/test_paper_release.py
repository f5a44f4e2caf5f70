"""The paper's own files are read as they are, and an altered copy is not taken for them."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.sources.paper_release import RELEASE_FILES
from gradpipe.errors import DataError

REASONING = ["none", "simplified", "detailed"]
STYLES = {
    **dict.fromkeys(["gsm8k", "aqua", "ecqa", "creak", "sensemaking", "strategyqa"], REASONING),
    **dict.fromkeys(["math_algebra", "math_counting_probability", "math_geometry"], REASONING[1:]),
    "wiki_popular": ["length_100", "length_500", "length_1000"],
    "wiki_unpopular": ["article"],
}


def config(name: str, folder: Path | str, **settings: Any) -> BenchmarkConfig:
    return BenchmarkConfig(name=name, source="release", path=str(folder), **settings)


def test_the_release_has_eleven_benchmarks() -> None:
    assert set(RELEASE_FILES) == set(STYLES)


@pytest.mark.parametrize("name", STYLES)
def test_every_row_comes_with_all_styles_and_their_irrelevant_twins(
    name: str, release_folder: Path
) -> None:
    items = read_items(config(name, release_folder))
    assert items.height == (454 if name == "wiki_unpopular" else 500)
    assert items["item_id"].n_unique() == items.height
    assert items["answer"].null_count() == 0
    expected = [[style, r] for r in ("correct", "irrelevant") for style in STYLES[name]]
    found = items["responses"].list.eval(
        pl.concat_list(pl.element().struct.field("style"), pl.element().struct.field("relevance"))
    )
    assert found.to_list() == [expected] * items.height


def test_answers_and_rationales_are_taken_apart(release_folder: Path) -> None:
    first = read_items(config("sensemaking", release_folder)).row(0, named=True)
    assert first["answer"] == first["responses"][0]["text"] == "Sentence B"
    assert first["rationale"] + "\nThe final answer is Sentence B" == first["responses"][1]["text"]


def test_the_answer_of_a_mathematical_solution_is_its_last_box(release_folder: Path) -> None:
    items = read_items(config("math_algebra", release_folder))
    assert items["answer"].to_list()[:3] == ["0", "98", "[0,3)"]
    assert items["rationale"].null_count() == items.height


def test_the_answer_of_an_article_is_its_title(release_folder: Path) -> None:
    first = read_items(config("wiki_unpopular", release_folder)).row(0, named=True)
    assert first["instruction"] == '"Tell me about Trichromia phaeocrota."'
    assert first["answer"] == "Trichromia phaeocrota"


def test_the_files_are_read_over_http_and_then_from_the_cache(
    release_folder: Path, site: Any
) -> None:
    url = site.serve(release_folder)
    items = read_items(config("wiki_unpopular", url))
    assert len(site.requests) == 2
    assert items.equals(read_items(config("wiki_unpopular", url)))
    assert items.equals(read_items(config("wiki_unpopular", release_folder)))
    assert len(site.requests) == 2


def test_pinned_content_has_one_version_wherever_it_lies(release_folder: Path) -> None:
    there = source_version(config("wiki_unpopular", "http://127.0.0.1:1/unreachable"))
    assert source_version(config("wiki_unpopular", release_folder)) == there
    default = BenchmarkConfig(name="wiki_unpopular", source="release")
    assert source_version(default) == there


@pytest.fixture
def copy(release_folder: Path, tmp_path: Path) -> Path:
    """A copy of the unpopular articles, free to be altered."""
    for folder in ("wiki_popularity", "wiki_popularity_wrong_answer_shuffle"):
        source = release_folder / folder / "long_tail_wikipedia.json"
        (tmp_path / folder).mkdir()
        shutil.copyfile(source, tmp_path / folder / source.name)
    return tmp_path


def _drop_first_row(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))


def test_an_altered_copy_is_refused_until_asked_for(copy: Path) -> None:
    before = source_version(config("wiki_unpopular", copy))
    for file in copy.glob("wiki*/*.json"):
        _drop_first_row(file)
    with pytest.raises(DataError, match="wiki_popularity/long_tail_wikipedia.json is not the pinn"):
        read_items(config("wiki_unpopular", copy))
    assert read_items(config("wiki_unpopular", copy, checksums=False)).height == 453
    assert source_version(config("wiki_unpopular", copy, checksums=False)) != before


def test_files_out_of_step_are_refused(copy: Path) -> None:
    _drop_first_row(copy / "wiki_popularity/long_tail_wikipedia.json")
    with pytest.raises(DataError, match="shuffle/long_tail.* has other instructions.*one revision"):
        read_items(config("wiki_unpopular", copy, checksums=False))


def test_a_file_without_outputs_is_refused(tmp_path: Path, write: Any) -> None:
    write("wiki_popularity/long_tail_wikipedia.json", '[{"instruction": "a", "outputs": "b"}]')
    with pytest.raises(DataError, match="no column 'output': did you mean 'outputs'"):
        read_items(config("wiki_unpopular", tmp_path, checksums=False))


def test_a_folder_that_is_not_the_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder .*cot_500 either; check `path`"):
        read_items(config("gsm8k", tmp_path))
