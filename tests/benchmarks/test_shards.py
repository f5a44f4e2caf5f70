"""One table in several files: folders and patterns of shards, and what ``datasets`` saves."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.fetch import content_key
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.shards import table_locations
from gradpipe.benchmarks.sources.user_files import UserFiles
from gradpipe.benchmarks.table_files import read_table
from gradpipe.errors import DataError
from gradpipe.untrusted import limits


@pytest.fixture
def shards(write: Any) -> Path:
    """Two shards in an order that is not that of their creation, beside files that are no data."""
    write("data/b.csv", "none,instruction\n3,Three?\n")
    write("data/a.csv", "instruction,none\nOne?,1\nTwo?,2\n")
    write("data/_SUCCESS", "")
    write("data/.hidden.csv", "other\n1\n")
    path: Path = write("data/README.md", "About")
    return path.parent


@pytest.mark.parametrize("pattern", ["", "*.csv", "[ab].csv", "?.csv", "*"])
def test_shards_are_read_in_the_order_of_their_names(pattern: str, shards: Path) -> None:
    if pattern == "*":
        (shards / "README.md").unlink()
    table = read_table(shards / pattern)
    assert table.rows() == [("One?", "1"), ("Two?", "2"), ("Three?", "3")]


def test_a_file_whose_name_is_a_pattern_is_that_file(write: Any) -> None:
    write("a1.csv", "none\n1\n")
    assert read_table(write("a[1].csv", "none\n2\n"))["none"].to_list() == ["2"]


def test_objects_of_all_shards_make_one_table(write: Any) -> None:
    write("data/1.jsonl", '{"a": 1}\n{"a": null, "b": "x"}\n')
    folder = write("data/2.jsonl", '{"a": "y", "c": [1]}\n').parent
    assert read_table(folder).to_dicts() == [
        {"a": "1", "b": None, "c": None},
        {"a": None, "b": "x", "c": None},
        {"a": "y", "b": None, "c": [1]},
    ]


def test_compressed_shards_are_one_format(write: Any) -> None:
    for number in (2, 1):
        write(f"data/{number}.csv.gz", gzip.compress(f"none\n{number}\n".encode()))
    assert read_table(write("data/x.txt", "").parent)["none"].to_list() == ["1", "2"]


def test_shards_are_read_from_a_file_system(write: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for number in (2, 1):
        files.pipe(f"/shards/{number}.csv", f"none\n{number}\n".encode())
    assert read_table("memory://shards/*.csv")["none"].to_list() == ["1", "2"]
    with pytest.raises(DataError, match=r"no file matches memory://shards/\*.json"):
        read_table("memory://shards/*.json")


def test_a_column_without_values_has_the_type_of_the_other_shards(write: Any) -> None:
    folder = write("data/x.txt", "").parent
    pl.DataFrame({"a": [None, None]}).write_parquet(folder / "1.parquet")
    pl.DataFrame({"a": ["x"]}).write_parquet(folder / "2.parquet")
    assert read_table(folder)["a"].to_list() == [None, None, "x"]


def test_shards_with_other_columns_are_refused_by_name(write: Any) -> None:
    folder = write("data/1.csv", "a,b\n1,2\n").parent
    write("data/2.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"1.csv and .*2.csv .*'b' is only in the first.*pattern"):
        read_table(folder)
    write("data/2.csv", "a,b,c\n1,2,3\n")
    with pytest.raises(DataError, match="'c' is only in the second"):
        read_table(folder)
    pl.DataFrame({"a": [1]}).write_parquet(folder / "1.parquet")
    pl.DataFrame({"a": ["x"]}).write_parquet(folder / "2.parquet")
    with pytest.raises(DataError, match="'a' holds Int64 in one and String in the other"):
        read_table(folder / "*.parquet")


def test_what_no_table_can_be_read_from_is_refused(
    tmp_path: Path, shards: Path, write: Any
) -> None:
    write("data/c.jsonl", '{"none": 1}\n')
    with pytest.raises(DataError, match=r"several formats \(.csv, .jsonl\).*data/\*.csv"):
        read_table(shards)
    with pytest.raises(DataError, match="folder without table files.*for example of .*data"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"no file matches .*\*.parquet: check"):
        read_table(shards / "*.parquet")
    with pytest.raises(DataError, match="'.md', which is not a table's"):
        read_table(shards / "*.md")


def test_all_shards_together_are_within_the_limit(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGEST_TABLE", 40)
    with pytest.raises(DataError, match="data unpacks to .* or more, above the limit of 40 bytes"):
        read_table(shards)


def config(path: Path | str) -> BenchmarkConfig:
    return BenchmarkConfig(name="sums", source="files", path=str(path))


def test_a_study_recomputes_when_a_shard_changes(shards: Path, write: Any) -> None:
    assert read_items(config(shards))["instruction"].to_list() == ["One?", "Two?", "Three?"]
    version = source_version(config(shards))
    assert version == source_version(config(shards / "*.csv"))
    write("data/_SUCCESS", "again")
    assert version == source_version(config(shards))
    write("data/b.csv", "instruction,none\nThree?,4\n")
    assert version != source_version(config(shards))
    changed = source_version(config(shards))
    (shards / "b.csv").unlink()
    assert source_version(config(shards)) != changed


def test_the_version_of_one_file_is_that_of_earlier_releases(write: Any) -> None:
    path = write("a.CSV", "instruction,none\nOne?,1\n")
    assert UserFiles().content(config(path)) == {".CSV": content_key(path)}
    packed = gzip.compress(path.read_bytes(), mtime=0)
    as_csv, as_tsv = write("a.csv.gz", packed), write("a.tsv.gz", packed)
    assert source_version(config(as_csv)) != source_version(config(as_tsv))


def test_a_saved_data_set_is_read_in_the_order_of_its_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"instruction": list("abcd"), "none": list("efgh")}
    saved = datasets.Dataset.from_dict(rows).select([3, 1, 0, 2])
    saved.save_to_disk(tmp_path / "saved", num_shards=2)
    assert len(table_locations(str(tmp_path / "saved"))) == 2
    assert read_table(tmp_path / "saved").rows() == [
        ("d", "h"),
        ("b", "f"),
        ("a", "e"),
        ("c", "g"),
    ]
    datasets.DatasetDict(train=saved, test=saved).save_to_disk(tmp_path / "splits")
    with pytest.raises(DataError, match=r"several splits \(test, train\).*splits/test"):
        read_table(tmp_path / "splits")
    assert read_table(tmp_path / "splits" / "train").height == 4


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("[1", "not well-formed JSON"),
        ("[]", "does not list the data files"),
        ('{"_data_files": [{"filename": "../secret.arrow"}]}', "does not list the data files"),
        ('{"_data_files": [{"filename": ".."}]}', "does not list the data files"),
        ('{"_data_files": 3}', "does not list the data files"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "gone.arrow does not exist"),
        (
            json.dumps(
                {
                    "_data_files": [{"filename": "a.arrow"}],
                    "_indices_data_files": [{"filename": "i.arrow"}],
                }
            ),
            "save it again",
        ),
    ],
)
def test_a_damaged_saved_data_set_is_refused(state: str, message: str, write: Any) -> None:
    folder = write("saved/state.json", state).parent
    write("secret.arrow", "")
    with pytest.raises(DataError, match=message):
        read_table(folder)
