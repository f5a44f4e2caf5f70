"""Rows of any data set of the hub, from a server on the loopback that answers as the hub does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.hub_datasets import HubDataset, SplitSlice, parse_split
from gradpipe.errors import DataError
from tests.fake_hub import fake_hub

COMMIT = "c" * 40
ROOT = Path(__file__).resolve().parents[2]

#: Reads each of the data sets in argv, and prints its rows or the sentence of its refusal.
READ = """
import json, sys
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.hub_rows import read_hub_dataset
from gradpipe.errors import DataError
from gradpipe.tables.parts import frame_of_parts
for dataset, offset, limit in json.loads(sys.argv[1]):
    try:
        part = read_hub_dataset(HubDataset(*dataset).pinned(), offset, limit)
        print(json.dumps(frame_of_parts([part], part.name).to_dicts()))
    except DataError as error:
        print(json.dumps(f"{error.transient} {error}"))
"""

Asked = tuple[list[str | None], int, int | None]
Read = Callable[..., list[Any]]
#: A data set whose name is that of a folder here, which is not read instead.
NAME = "gradpipe/cli"
SLICES = [
    ("train", 0, None),
    ("train[:7]", 0, None),
    ("train[16:21]", 0, None),
    ("train[3:]", 10, 4),
    ("train[:20]", 17, 10),
    ("train", 29, 5),
    ("test", 1, None),
]
REFUSED: list[Asked] = [
    ([NAME], 0, None),
    ([NAME, None, "tran"], 0, None),
    ([NAME, "extra", "train"], 0, None),
    ([NAME, None, "train[:10]"], 10, None),
    ([NAME, None, "train", "gone"], 0, None),
    (["org/gone", None, "train"], 0, None),
    (["org/gone", None, "train", COMMIT], 0, None),
]


def read_from(folder: Path, endpoint: str, *asked: Asked) -> list[Any]:
    """Read data sets from a hub in a process of its own: the hub's address is read at import."""
    home = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(asked)],
        env=os.environ | home,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return partial(read_from, tmp_path)


def numbered(first: int, last: int) -> list[dict[str, Any]]:
    return [{"question": f"q{n}", "n": n} for n in range(first, last)]


def make_repository(folder: Path) -> Path:
    """Two shards of a split of 30 rows, in groups of 5 rows, and another split."""
    (folder / "data").mkdir(parents=True)
    for shard, rows in enumerate((numbered(0, 18), numbered(18, 30))):
        path = folder / f"data/train-0000{shard}-of-00002.parquet"
        pl.DataFrame(rows).write_parquet(path, row_group_size=5)
    pl.DataFrame(numbered(30, 32)).write_parquet(folder / "data/test-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What one process reads of a repository: its slices, then what is refused."""
    folder = tmp_path_factory.mktemp("hub")
    slices: list[Asked] = [([NAME, None, split], *part) for split, *part in SLICES]
    with fake_hub(make_repository(folder / "repository"), NAME, COMMIT) as hub:
        return read_from(folder, hub.endpoint, *slices, *REFUSED)


def test_a_slice_of_shards_is_the_slice_of_their_rows(answers: list[Any]) -> None:
    train, test = numbered(0, 30), numbered(30, 32)
    expected = [train, train[:7], train[16:21], train[3:][10:14], train[:20][17:27], train[29:]]
    assert answers[: len(SLICES)] == [*expected, test[1:]]
    assert (ROOT / NAME).is_dir(), "a local folder of the same name would have been read instead"


def test_what_is_ambiguous_or_missing_is_refused_in_a_sentence(answers: list[Any]) -> None:
    refusals = answers[len(SLICES) :]
    assert {answer.split()[0] for answer in refusals} == {"False"}
    several, split, config, offset, revision, name, pinned = refusals
    assert "several splits (train, test)" in several
    assert "--split" in several
    assert "no split 'tran': did you mean 'train'" in split
    assert "no configuration 'extra'" in config
    assert "from row 10 on" in offset
    assert f"hub:{NAME} at its revision gone is not on the hub" in revision
    assert "hub:org/gone at its revision main is not on the hub" in name
    assert f"hub:org/gone at its revision {COMMIT} is not on the hub" in pinned


def test_several_configurations_are_listed_and_one_is_read(
    tmp_path: Path, hub_like: Any, read: Read
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: main\n  data_files: [{split: train, path: a.jsonl}]\n"
        "- config_name: mixed\n  data_files: [{split: train, path: b.jsonl}]\n---\n"
    )
    plain = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(3)]
    mixed: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "q"}], "n": 1},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}], "n": "two"},
    ]
    for file, rows in (("a.jsonl", plain), ("b.jsonl", mixed)):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub = hub_like(folder, "org/name", COMMIT)
    listed, first, second = read(
        hub.endpoint,
        (["org/name"], 0, None),
        (["org/name", "main"], 1, 1),
        (["org/name", "mixed"], 0, None),
    )
    assert "several configurations (main, mixed)" in listed
    assert first == plain[1:2]
    # As in a JSONL file: values of mixed kinds are texts.
    local = tmp_path / "local.jsonl"
    local.write_bytes((folder / "b.jsonl").read_bytes())
    from gradpipe.benchmarks.table_files import read_table

    assert second == read_table(local).to_dicts()


def test_a_few_rows_of_a_large_file_cost_a_few_bytes(
    tmp_path: Path, hub_like: Any, read: Read
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    texts = [os.urandom(500).hex() for _ in range(20_000)]
    file = folder / "train.parquet"
    pl.DataFrame({"text": texts}).write_parquet(file, row_group_size=1000)
    hub = hub_like(folder, "org/name", COMMIT)
    assert read(hub.endpoint, (["org/name"], 15_500, 2)) == [
        [{"text": text} for text in texts[15_500:15_502]]
    ]
    assert file.stat().st_size > 10e6
    assert sum(hub.sent) < 1.5e6


def test_code_of_a_repository_is_not_run(tmp_path: Path, hub_like: Any, read: Read) -> None:
    repository = make_repository(tmp_path / "repository")
    (repository / "name.py").write_text("raise SystemExit('run')\n")
    hub = hub_like(repository, "org/name", COMMIT)
    [answer] = read(hub.endpoint, (["org/name", None, "train"], 0, 1))
    assert "needs code of its repository, which is never run" in answer
    assert "refs/convert/parquet" in answer


def test_a_hub_out_of_reach_is_a_transient_failure(read: Read) -> None:
    [answer] = read("http://127.0.0.1:1", (["org/name", None, "train"], 0, 1))
    assert answer.startswith("True hub:org/name at its revision main cannot be read")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("train", ("train", 0, None)),
        ("train[:500]", ("train", 0, 500)),
        ("train[100:]", ("train", 100, None)),
        ("train[100:200]", ("train", 100, 200)),
        ("test_sft[:]", ("test_sft", 0, None)),
    ],
)
def test_a_split_may_have_a_slice(text: str, parsed: tuple[Any, ...]) -> None:
    assert parse_split(text) == SplitSlice(*parsed)


@pytest.mark.parametrize(
    "text", ["train[:10%]", "train[-5:]", "train+test", "train[5:5]", "train[:0]", "train[5]", ""]
)
def test_other_splits_are_refused_before_anything_is_read(text: str) -> None:
    with pytest.raises(DataError, match="without percent signs"):
        HubDataset("org/name", split=text, revision=COMMIT).pinned()


@pytest.mark.parametrize("name", ["name", "a/b/c", "../x", "org/", "org/na me"])
def test_a_name_is_that_of_an_organization_and_a_data_set(name: str) -> None:
    with pytest.raises(DataError, match="write ORG/NAME"):
        HubDataset(name, revision=COMMIT).pinned()
