"""The hub's own files, from a folder, a web server or the hub, become items."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.remote_parquet import quiet_datasets, read_parquet, refusal
from gradpipe.benchmarks.sources import hub
from gradpipe.errors import DataError

#: Rows 0, 4, 6, 8 and 15 of GSM8K's training split, as they are.
GSM8K = {
    0: (
        "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
        "May. How many clips did Natalia sell altogether in April and May?",
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
        "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
    ),
    4: (
        "James writes a 3-page letter to 2 different friends twice a week.  How many pages does he "
        "write a year?",
        "He writes each friend 3*2=<<3*2=6>>6 pages a week\n"
        "So he writes 6*2=<<6*2=12>>12 pages every week\n"
        "That means he writes 12*52=<<12*52=624>>624 pages a year\n#### 624",
    ),
    6: (
        "Albert is wondering how much pizza he can eat in one day. He buys 2 large pizzas and 2 "
        "small pizzas. A large pizza has 16 slices and a small pizza has 8 slices. If he eats it "
        "all, how many pieces does he eat that day?",
        "He eats 32 from the largest pizzas because 2 x 16 = <<2*16=32>>32\n"
        "He eats 16 from the small pizza because 2 x 8 = <<2*8=16>>16\n"
        "He eats 48 pieces because 32 + 16 = <<32+16=48>>48\n#### 48",
    ),
    8: (
        "Alexis is applying for a new job and bought a new set of business clothes to wear to the "
        "interview. She went to a department store with a budget of $200 and spent $30 on a "
        "button-up shirt, $46 on suit pants, $38 on a suit coat, $11 on socks, and $18 on a belt. "
        "She also purchased a pair of shoes, but lost the receipt for them. She has $16 left from "
        "her budget. How much did Alexis pay for the shoes?",
        "Let S be the amount Alexis paid for the shoes.\n"
        "She spent S + 30 + 46 + 38 + 11 + 18 = S + <<+30+46+38+11+18=143>>143.\n"
        "She used all but $16 of her budget, so S + 143 = 200 - 16 = 184.\n"
        "Thus, Alexis paid S = 184 - 143 = $<<184-143=41>>41 for the shoes.\n#### 41",
    ),
    15: (
        "James creates a media empire.  He creates a movie for $2000.  Each DVD cost $6 to make.  "
        "He sells it for 2.5 times that much.  He sells 500 movies a day for 5 days a week.  How "
        "much profit does he make in 20 weeks?",
        "He sold each DVD for 6*2.5=$<<6*2.5=15>>15\nSo he makes a profit of 15-6=$<<15-6=9>>9\n"
        "So each day he makes a profit of 9*500=$<<9*500=4500>>4500\n"
        "So he makes 4500*5=$<<4500*5=22500>>22,500\n"
        "He makes 22,500*20=$<<22500*20=450000>>450,000\n"
        "Then after the cost of creating the movie he has a profit of "
        "450,000-2000=$<<450000-2000=448000>>448,000\n#### 448000",
    ),
}
AQUA = {
    "question": "Two friends plan to walk along a 43-km trail.\nHow far does P walk?",
    "options": ["A)21", "B)21.5", "C)22", "D)22.5", "E)23"],
    "rationale": "x + 1.15x = 43\nx = 20\nThe answer is E.",
    "correct": "E",
}


def gsm8k() -> list[dict[str, Any]]:
    return [{"question": question, "answer": answer} for question, answer in GSM8K.values()]


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a file in a repository of the hub's layout; the repository's folder."""

    def lay_out(file: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "repository" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows).write_parquet(path)
        return tmp_path / "repository"

    return lay_out


def config(name: str, path: Path | str | None, **settings: Any) -> BenchmarkConfig:
    given = None if path is None else str(path)
    return BenchmarkConfig(name=name, source="hub", path=given, **settings)


def file_of(name: str, split: str = "train") -> str:
    return f"{hub.HUB_FILES[name].folder}/{split}-00000-of-00001.parquet"


def texts(items: pl.DataFrame, row: int = 0) -> dict[str, str]:
    return {response["style"]: response["text"] for response in items["responses"][row]}


def test_gsm8k_is_read_without_its_calculator_marks(repository: Any) -> None:
    items = read_items(config("gsm8k", repository(file_of("gsm8k"), gsm8k())))
    assert items.schema == ITEM_SCHEMA
    assert items["family"].unique().to_list() == ["math"]
    assert items["answer"].to_list() == ["72", "624", "48", "41", "448000"]
    rationale = (
        "Natalia sold 48/2 = 24 clips in May.\n"
        "Natalia sold 48+24 = 72 clips altogether in April and May."
    )
    assert items["rationale"][0] == rationale
    assert texts(items) == {"none": "72", "simplified": f"{rationale}\nThe final answer is 72"}
    assert not items["rationale"].str.contains("<<|>>|####").any()


def test_gsm8ks_rows_are_flans_but_for_spacing(repository: Any, flan_folder: Path) -> None:
    items = read_items(config("gsm8k", repository(file_of("gsm8k"), gsm8k())))
    flan = read_items(BenchmarkConfig(name="gsm8k", source="flan", path=str(flan_folder)))
    flan = flan[list(GSM8K)]
    assert items["answer"].equals(flan["answer"])
    spaces = pl.col("instruction").str.replace_all(r"\s+", " ")
    assert items.select(spaces).equals(flan.select("instruction"))
    # FLAN joins the lines, ends each with a full stop and sets operators apart.
    ours, theirs = (
        [re.sub(r"[\s.]", "", text) for text in table["rationale"]] for table in (items, flan)
    )
    assert ours == theirs


def test_aqua_has_its_options_in_the_question(repository: Any) -> None:
    items = read_items(config("aqua", repository(file_of("aqua"), [AQUA])))
    assert items["instruction"][0] == (
        f"{AQUA['question']}\nOptions:\n(A) 21\n(B) 21.5\n(C) 22\n(D) 22.5\n(E) 23"
    )
    assert items["answer"][0] == "(E)"
    assert texts(items) == {
        "none": "(E)",
        "simplified": f"{AQUA['rationale']}\nThe final answer is (E)",
    }


def test_aqua_can_be_written_as_the_paper_has_it(repository: Any, release_folder: Path) -> None:
    paper = read_items(BenchmarkConfig(name="aqua", source="release", path=str(release_folder)))
    rows = []
    for instruction, answer, rationale in paper.select(
        "instruction", "answer", "rationale"
    ).iter_rows():
        question, options = instruction.rsplit("\\nOptions:\\n", 1)
        letters = [f"{option[1]}){option[4:]}" for option in options.split("\\n")]
        rows.append(
            {
                "question": question.replace("\\n", "\n"),
                "options": letters,
                "rationale": rationale.replace("\\n", "\n"),
                "correct": answer[1],
            }
        )
    folder = repository(file_of("aqua"), rows)
    ours = read_items(config("aqua", folder, line_breaks="escaped"))
    agree = sum(
        ours["instruction"][row] == paper["instruction"][row]
        and texts(ours, row)["simplified"] == paper["responses"][row][1]["text"]
        for row in range(500)
    )
    assert agree == 500
    assert source_version(config("aqua", folder, line_breaks="escaped")) != source_version(
        config("aqua", folder)
    )


@pytest.mark.parametrize("subject", ["algebra", "counting_probability", "geometry"])
def test_maths_solutions_and_boxes_are_the_papers(
    subject: str, repository: Any, release_folder: Path
) -> None:
    path = release_folder / "lighteval_math" / f"{subject}_with_cot.json"
    rows = [
        {
            "problem": row["instruction"],
            "level": "Level 1",
            "type": "?",
            "solution": row["output"],
        }
        for row in json.loads(path.read_text("utf-8"))
    ]
    name = f"math_{subject}"
    ours = read_items(config(name, repository(file_of(name), rows)))
    paper = read_items(BenchmarkConfig(name=name, source="release", path=str(release_folder)))
    assert ours["item_id"].equals(paper["item_id"])
    for row in range(500):
        assert texts(ours, row)["simplified"] == paper["responses"][row][0]["text"]
        assert texts(ours, row)["none"] == paper["answer"][row]
    assert ours["rationale"].null_count() == 0


def test_a_folder_a_file_url_and_a_web_server_give_the_same_items(
    repository: Any, site: Any
) -> None:
    folder = repository(file_of("gsm8k"), gsm8k())
    items = read_items(config("gsm8k", folder))
    assert read_items(config("gsm8k", f"file://{folder}")).equals(items)
    assert read_items(config("gsm8k", f"{site.serve(folder)}/")).equals(items)


def test_a_file_that_changed_on_the_server_is_read_anew(repository: Any, site: Any) -> None:
    folder = repository(file_of("gsm8k"), gsm8k())
    there = config("gsm8k", site.serve(folder))
    version = source_version(there)
    assert read_items(there).height == 5
    repository(file_of("gsm8k"), gsm8k()[:2])
    assert read_items(there).height == 2
    assert source_version(there) != version


def test_another_split_is_another_file(repository: Any) -> None:
    repository(file_of("gsm8k"), gsm8k())
    folder = repository(file_of("gsm8k", "test"), gsm8k()[:1])
    test = config("gsm8k", folder, split="test")
    assert read_items(test).height == 1
    assert source_version(test) != source_version(config("gsm8k", folder))
    with pytest.raises(DataError, match="no split 'tset': did you mean 'test'"):
        read_items(config("gsm8k", folder, split="tset"))


def test_a_pinned_revision_is_known_without_network() -> None:
    pinned = source_version(config("gsm8k", None))
    assert source_version(config("gsm8k", None, revision="0" * 40)) != pinned
    for name, file in hub.HUB_FILES.items():
        assert hub.Hub().content(config(name, None)) == {
            f"{file.repository.name}/{file_of(name)}": file.repository.revision
        }


def test_brackets_and_stars_in_a_folders_name_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "a[b]*" / file_of("gsm8k")
    path.parent.mkdir(parents=True)
    pl.DataFrame(gsm8k()).write_parquet(path)
    assert read_items(config("gsm8k", tmp_path / "a[b]*")).height == 5


def test_a_home_folder_may_be_a_tilde(repository: Any, monkeypatch: Any) -> None:
    folder = repository(file_of("gsm8k"), gsm8k())
    monkeypatch.setenv("HOME", str(folder.parent))
    assert read_items(config("gsm8k", f"~/{folder.name}")).height == 5


@pytest.mark.parametrize("there", [True, False])
def test_a_missing_file_is_named(there: bool, tmp_path: Path, site: Any) -> None:
    path = site.serve(tmp_path) if there else str(tmp_path)
    with pytest.raises(
        DataError, match="there is no file at .*/main/train-.*check `path`"
    ) as refused:
        read_items(config("gsm8k", path))
    assert not refused.value.transient
    with pytest.raises(DataError, match="no file|does not exist"):
        source_version(config("gsm8k", path))


def test_an_unreachable_server_may_answer_later(site: Any) -> None:
    with pytest.raises(DataError, match="cannot be read .*give its local folder") as refused:
        read_items(config("gsm8k", "http://127.0.0.1:1"))
    assert refused.value.transient


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / file_of("gsm8k")
    path.parent.mkdir(parents=True)
    path.write_text("<html>not found</html>")
    with pytest.raises(DataError, match="is not a Parquet file .*: fetch it again"):
        read_items(config("gsm8k", tmp_path))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("gsm8k", [{"questions": "Why?", "answer": "#### 1"}], "no column 'question': did you"),
        ("gsm8k", [{"question": "Why?", "answer": "So."}], "answer in row 0 .* no line with ####"),
        ("aqua", [{**AQUA, "options": "A)1 B)2"}], "no column `options` of lists of text"),
        ("math_algebra", [{"problem": "1 + 1?", "answer": "2"}], "no column 'solution'"),
    ],
)
def test_a_file_of_another_shape_is_refused(
    name: str, rows: list[dict[str, Any]], message: str, repository: Any
) -> None:
    with pytest.raises(DataError, match=message):
        read_items(config(name, repository(file_of(name), rows)))


def test_a_file_without_rows_is_refused(repository: Any) -> None:
    folder = repository(file_of("gsm8k"), gsm8k())
    pl.DataFrame(gsm8k()).head(0).write_parquet(folder / file_of("gsm8k"))
    with pytest.raises(DataError, match="has no rows"):
        read_items(config("gsm8k", folder))


def test_a_file_that_may_not_be_read_is_told_with_a_cure() -> None:
    denied = refusal("a.parquet", PermissionError(13, "Permission denied", "a.parquet"))
    assert "Permission denied" in str(denied)
    assert "check its permissions" in str(denied)
    assert not denied.transient


def test_no_bar_is_drawn_and_what_was_set_is_set_again(repository: Any, capfd: Any) -> None:
    import datasets.utils.logging as log
    from datasets.utils import are_progress_bars_disabled as no_bars

    before = log.get_verbosity(), no_bars()

    def fail() -> None:
        with quiet_datasets():
            assert no_bars()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (log.get_verbosity(), no_bars()) == before
    capfd.readouterr()
    read_items(config("gsm8k", repository(file_of("gsm8k"), gsm8k())))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("remote", [False, True])
def test_no_more_is_read_than_asked(remote: bool, repository: Any, site: Any) -> None:
    folder = repository("a.parquet", [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}])
    path = f"{site.serve(folder) if remote else folder}/a.parquet"
    assert read_parquet(path).to_dicts() == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    some = read_parquet(path, ("a",), ("a", ["2", "3"]))
    assert some.to_dicts() == [{"a": "2"}]
    none = read_parquet(path, ("a",), ("a", ["3"]))
    assert (none.height, none.schema) == (0, {"a": pl.String})


READ = """
import sys
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.errors import DataError
for revision in sys.argv[1:]:
    config = BenchmarkConfig(name="gsm8k", source="hub", revision=revision)
    try:
        print(source_version(config), read_items(config)["answer"].to_list())
    except DataError as error:
        print(error.transient, error)
"""


def _read_from_hub(endpoint: str, home: Path, *revisions: str, **environment: str) -> list[str]:
    """What reading GSM8K from a hub at ``endpoint`` prints, a line for each revision."""
    done = subprocess.run(
        [sys.executable, "-c", READ, *revisions],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)} | environment,
        cwd=Path(hub.__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_the_hub_itself_is_read_at_its_pinned_revision_and_needs_no_cache(
    repository: Any, hub_like: Any, tmp_path: Path
) -> None:
    folder = repository(file_of("gsm8k"), gsm8k())
    pinned = hub.GSM8K.revision
    served = hub_like(folder, hub.GSM8K.name, pinned)
    (tmp_path / "file").touch()
    blocked = {"HF_DATASETS_CACHE": str(tmp_path / "file")}
    lines = _read_from_hub(served.endpoint, tmp_path / "home", pinned, "main", "gone", **blocked)
    answers = "['72', '624', '48', '41', '448000']"
    assert lines[0] == f"{source_version(config('gsm8k', None))} {answers}"
    # A branch is known by the commit that it stands at.
    assert lines[1] == lines[0]
    assert lines[2].startswith("False there is no file at the revision 'gone' of openai/gsm8k")
    downloads = [line for line in served.requests if line.startswith("GET") and "/resolve/" in line]
    assert downloads
    assert all(f"/resolve/{pinned}/" in line or "/resolve/main/" in line for line in downloads)


def test_a_hub_out_of_reach_is_told_in_a_sentence(tmp_path: Path) -> None:
    [line] = _read_from_hub("http://127.0.0.1:1", tmp_path / "home", hub.GSM8K.revision)
    assert line.startswith("True hf://datasets/openai/gsm8k@")
    assert "download the repository and give its local folder as `path`" in line


def test_a_revision_and_a_path_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both a `path` and a `revision`"):
        config("gsm8k", tmp_path, revision="main")


@pytest.mark.parametrize(
    "setting", [{"split": "test"}, {"quotes": "csv"}, {"wikipedia": {"pages": 2}}]
)
def test_a_setting_that_nobody_would_read_is_refused(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(DataError, match=f"sets `{name}`, which the source 'release' does not read"):
        BenchmarkConfig(name="gsm8k", source="release", **setting)


OWN = """
import json, sys
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_revision, source_version
for revision in sys.argv[1:]:
    settings = {"path": "org/name", "split": "train[1:3]", "revision": revision or None}
    config = BenchmarkConfig(name="own", source="hub", **settings)
    items = read_items(config)
    print(json.dumps([source_version(config), source_revision(config), items.to_dicts()]))
"""


def test_a_benchmark_of_any_other_name_is_a_data_set_of_the_hub(
    repository: Any, hub_like: Any, tmp_path: Path
) -> None:
    rows = [
        {"messages": [{"role": role, "content": f"{role} {n}"} for role in ("user", "assistant")]}
        for n in range(4)
    ]
    commit = "d" * 40
    served = hub_like(repository("data/train.parquet", rows), "org/name", commit)
    home = {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", OWN, "", commit],
        env=os.environ | home,
        cwd=Path(hub.__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    branch, pinned = map(json.loads, done.stdout.splitlines())
    assert branch == pinned
    version, revision, items = pinned
    assert revision == commit
    assert [item["instruction"] for item in items] == ["user 1", "user 2"]
    assert items[0]["responses"] == [
        {"style": "given", "relevance": "correct", "text": "assistant 1"}
    ]
    # Known without a network: this process has no hub.
    own = config("own", "org/name", split="train[1:3]", revision=commit)
    assert source_version(own) == version
    assert source_version(own.model_copy(update={"split": "train"})) != version


def test_a_name_without_a_path_is_one_of_the_known() -> None:
    with pytest.raises(DataError, match=r"did you mean 'gsm8k'\?.*give its `path`"):
        read_items(config("gsm8", None))
