"""Data that a user names, as a benchmark of a study."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.errors import DataError
from gradpipe.studies.new_study import data_entry
from gradpipe.studies.new_study.data_entry import (
    HubRows,
    data_name,
    find_data_entry,
    study_path,
)
from gradpipe.studies.study_styles import StudyStyles, StyleSettings

STYLED = pl.DataFrame(
    {"question": ["2 + 2?", "3 + 3?"], "none": ["4", "6"], "detailed": ["a", "b"]}
)
CHATS = [
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
]
PREFERENCES = pl.DataFrame({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet", "arrow"])
def test_a_table_of_any_format_is_looked_at(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"my pairs.{suffix}"
    {
        "csv": STYLED.write_csv,
        "tsv": lambda path: STYLED.write_csv(path, separator="\t"),
        "jsonl": STYLED.write_ndjson,
        "json": STYLED.write_json,
        "parquet": STYLED.write_parquet,
        "arrow": STYLED.write_ipc,
    }[suffix](file)
    entry = find_data_entry(str(file), tmp_path)
    assert entry.setting == {
        "name": "my-pairs",
        "source": "files",
        "path": f"./my pairs.{suffix}",
        "columns": {"instruction": "question"},
    }
    assert (entry.items, entry.styles, entry.rejected) == (2, ("none", "detailed"), False)


def test_training_data_have_the_style_given(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHATS[0]))
    PREFERENCES.write_csv(tmp_path / "preferences.csv")
    chats = find_data_entry(str(tmp_path / "chats.jsonl"), Path("/elsewhere"))
    preferences = find_data_entry(str(tmp_path / "preferences.csv"), tmp_path, name="mine")
    assert (chats.styles, chats.rejected) == (("given",), False)
    assert chats.setting["path"] == str(tmp_path / "chats.jsonl")  # type: ignore[index]
    assert (preferences.name, preferences.rejected) == ("mine", True)


def test_a_built_in_benchmark_is_a_name() -> None:
    entry = find_data_entry("mini_maths", Path("/"))
    assert (entry.setting, entry.items) == ("mini_maths", 12)
    assert entry.styles == ("none", "simplified", "detailed")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("mini_math", "'mini_maths'"),
        ("./nowhere.csv", "does not exist"),
        ("hub:alpaca", "ORG/NAME"),
    ],
)
def test_data_that_are_not_there_are_refused(data: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        find_data_entry(data, Path("/"))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any data set of the hub has these rows."""
    rows = pl.DataFrame({"question": ["1 + 1?"], "answer": ["2"]})
    monkeypatch.setattr(data_entry, "rows_of_source", lambda *_: rows)
    monkeypatch.setattr(HubDataset, "pinned", lambda dataset: dataset)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("myorg/gsm8k", "myorg-gsm8k"),
        ("deepmind/aqua", "deepmind-aqua"),
        ("org/mini_maths", "org-mini_maths"),
        ("org/alpaca", "alpaca"),
    ],
)
def test_a_data_set_of_the_hub_has_not_the_name_of_a_built_in_benchmark(
    dataset: str, name: str, questions: None
) -> None:
    entry = find_data_entry(f"hub:{dataset}", None, hub=HubRows(config="main"))
    written = {"name": name, "source": "hub", "path": dataset, "config": "main", "split": "train"}
    assert isinstance(entry.setting, dict)
    assert {key: entry.setting[key] for key in written} == written


def test_the_name_of_a_built_in_benchmark_is_refused(questions: None) -> None:
    with pytest.raises(DataError, match="gsm8k is a built-in .* another name, such as org-gsm8k"):
        find_data_entry("hub:org/gsm8k", None, name="gsm8k")


def test_a_table_without_known_columns_needs_names(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("q,short,long\nWhat?,That.,That one there.\n")
    with pytest.raises(DataError, match="q, short, long"):
        find_data_entry(str(file), tmp_path)
    columns = {"instruction": "q", "none": "short", "detailed": "long"}
    entry = find_data_entry(str(file), tmp_path, columns=columns)
    assert entry.styles == ("none", "detailed")


OWN = StudyStyles(
    ("teacher_a", "teacher_b", "teacher_b_cut"),
    {"teacher_a": StyleSettings(), "teacher_b": StyleSettings(column="GPT-4o")}
    | {"teacher_b_cut": StyleSettings()},
)


@pytest.mark.parametrize(
    ("table", "columns", "found", "listed"),
    [
        ("question,teacher_a,GPT-4o\nq,a,b\n", None, "teacher_a teacher_b", None),
        (
            "question,teacher_a,long\nq,a,b\n",
            {"instruction": "question", "teacher_b": "long"},
            "teacher_a teacher_b",
            None,
        ),
        (
            "instruction,who,text\nq,teacher_a,a\nq,GPT-4o,b\n",
            {"style": "who", "response": "text"},
            "teacher_a teacher_b",
            None,
        ),
        ("question,teacher_a\nq,a\n", None, "teacher_a", ["teacher_a"]),
        ("question,none\nq,a\n", None, "none", ["none"]),
    ],
)
def test_the_styles_that_a_study_declares_are_known(
    table: str,
    columns: dict[str, str] | None,
    found: str,
    listed: list[str] | None,
    tmp_path: Path,
) -> None:
    (tmp_path / "own.csv").write_text(table)
    entry = find_data_entry(str(tmp_path / "own.csv"), tmp_path, columns=columns, styles=OWN)
    assert entry.styles == tuple(found.split())
    assert isinstance(entry.setting, dict)
    assert entry.setting.get("styles") == listed


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("a/b/pairs.jsonl.gz", "pairs"),
        ("data/train-*.parquet", "train"),
        ("org/My.Data-2", "My-Data-2"),
        ("shards/", "shards"),
        ("*.csv", "data"),
    ],
)
def test_a_name_is_made_of_the_datas(data: Any, name: str) -> None:
    assert data_name(data) == name


def test_a_path_is_relative_by_any_link_to_the_studys_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    real = (tmp_path / "real").resolve()
    assert study_path(str(tmp_path / "link" / "a.csv"), real) == "./a.csv"
    assert study_path(str(tmp_path / "a.csv"), real) == str(tmp_path / "a.csv")
    monkeypatch.chdir(real / "sub")
    assert study_path("../a.csv", real) == "./a.csv"
