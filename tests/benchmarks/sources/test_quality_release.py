"""The sequel's subsets are read as two styles of different items, from pinned files only."""

import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import sample_items
from gradpipe.benchmarks.read import default_source, read_items, source_version
from gradpipe.benchmarks.sources.quality_release import QUALITY_FILES, QUALITY_RELEASE
from gradpipe.errors import DataError
from gradpipe.responses.build import build_examples


def config(folder: Path | str, name: str = "wiz_reward", **settings: Any) -> BenchmarkConfig:
    return BenchmarkConfig(name=name, source="quality_release", path=str(folder), **settings)


def rows(side: str, count: int) -> list[dict[str, Any]]:
    """Rows with the columns of the sequel's files."""
    return [
        {
            "instruction": f"{side} question {number}?",
            "output": f"{side} answer {number}.",
            "reward": 0.5,
            "instag": number,
            "raw_instag": "tag",
        }
        for number in range(count)
    ]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "reward").mkdir(parents=True)
    for side in ("highest", "lowest"):
        file = folder / "reward" / f"wiz_10k_{side}_200.json"
        file.write_text(json.dumps(rows(side, 6)), "utf-8")
    return folder


def test_each_measure_of_each_corpus_is_a_benchmark_beside_the_reasoning_data() -> None:
    assert len(QUALITY_FILES) == 3 * 5 + 1
    assert {default_source(name) for name in QUALITY_FILES} == {"quality_release"}


def test_every_file_of_the_benchmarks_is_pinned_and_no_other() -> None:
    text = (resources.files("gradpipe.benchmarks") / "checksums.json").read_text("utf-8")
    pinned = json.loads(text)["quality_release"]
    assert set(pinned) == {
        side for files in QUALITY_FILES.values() for side in (files.low, files.high)
    }
    assert all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in pinned.values())
    assert {entry["rows"] for entry in pinned.values()} == {200}
    assert re.search(r"Gradient_Unified@[0-9a-f]{40}/", QUALITY_RELEASE.address)


def test_an_item_has_a_response_of_one_side_and_the_sides_take_turns(stand_in: Path) -> None:
    items = read_items(config(stand_in, checksums=False))
    responses = [response for (response,) in items["responses"]]
    assert [one["style"] for one in responses] == ["quality_low", "quality_high"] * 6
    assert items["instruction"].to_list()[:3] == [
        "lowest question 0?",
        "highest question 0?",
        "lowest question 1?",
    ]
    assert responses[1]["text"] == "highest answer 0."
    assert items["family"].unique().to_list() == ["instruction"]
    assert items["answer"].null_count() == items.height


def test_the_first_items_of_a_sample_are_balanced(stand_in: Path) -> None:
    items = sample_items(read_items(config(stand_in, checksums=False)), 4, "first")
    examples = build_examples(items, None, ["correct"], "derangement", 0)
    assert Counter(examples["style"]) == {"quality_low": 2, "quality_high": 2}


def test_an_input_belongs_to_the_instruction(stand_in: Path) -> None:
    file = stand_in / "reward" / "wiz_10k_lowest_200.json"
    file.write_text(json.dumps([{"instruction": "Add.", "input": "1, 2", "output": "3"}]), "utf-8")
    assert read_items(config(stand_in, checksums=False))["instruction"][0] == "Add.\n1, 2"


def test_an_altered_copy_is_refused_unless_it_is_wanted(stand_in: Path) -> None:
    with pytest.raises(DataError, match="not the pinned file"):
        read_items(config(stand_in))


def test_a_missing_file_is_named(stand_in: Path) -> None:
    (stand_in / "reward" / "wiz_10k_highest_200.json").unlink()
    with pytest.raises(DataError, match="wiz_10k_highest_200"):
        read_items(config(stand_in, checksums=False))


def test_pinned_files_are_known_without_a_network(stand_in: Path) -> None:
    default = BenchmarkConfig(name="wiz_reward", source="quality_release")
    elsewhere = config("http://127.0.0.1:1/unreachable")
    assert source_version(default) == source_version(elsewhere)
    assert source_version(default) != source_version(config(stand_in, checksums=False))


def test_a_benchmark_that_does_not_exist_is_answered_with_the_nearest(stand_in: Path) -> None:
    with pytest.raises(DataError, match="wiz_reward"):
        read_items(config(stand_in, name="wiz_rewards"))
