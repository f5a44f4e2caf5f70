"""``gradpipe responses export``: a data set that datasets, TRL and gradpipe's commands read."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.cli import main
from gradpipe.conversations.think_blocks import join_thinking
from gradpipe.studies.examples import study_calls
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.responses.written_calls import answer_of, answers_of, judged_of

ANSWER = "It is simple. The answer is 2"
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]"
#: Readers of markup and of tables meet it in names and texts.
HOSTILE = "a|b <b>`````</b>"


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("gradpipe: ")
    for word in words:
        assert word in message


def items_of(benchmark: str) -> pl.DataFrame:
    items = [
        {
            "item_id": f"item-{n}",
            "benchmark": benchmark,
            "family": "math",
            "index": n,
            "instruction": f"Question {n}: what is 1 + 1?",
            "answer": "2",
            "responses": [],
        }
        for n in range(3)
    ]
    return pl.DataFrame(items, schema={k: v for k, v in ITEM_SCHEMA.items() if k != "context"})


def study_with(benchmarks: tuple[str, ...] = ("sums", "later"), **generator: Any) -> Study:
    entry = {"source": "files", "path": "sums.jsonl", "family": "math"}
    settings = {"kind": "openai", "model": "writer", "base_url": "http://127.0.0.1:1/v1"}
    return Study.model_validate(
        {
            "name": "mine",
            "models": [{"id": "demo", "name": "small"}],
            "benchmarks": [{"name": name, **entry} for name in benchmarks],
            "generator": settings | generator,
        }
    )


@pytest.fixture
def written(home: Path) -> Workspace:
    """A workspace with the responses of one of two benchmarks, and without gradients."""
    workspace = Workspace.current()
    workspace.keep_study(study_with())
    workspace.items("sums").write(items_of("sums"), "1")
    workspace.generations("writer").append(
        answers_of(
            answer_of("a", text=ANSWER, fingerprint=HOSTILE),
            answer_of("b", text="I do not know.", reasoning=None, reasoning_tokens=None),
            answer_of("c", text=f"Look: {HOSTILE}. The answer is 2", cost=0.5),
        )
    )
    judged = judged_of(
        {"key": "a", "style": "answer_only", "text": ANSWER},
        {"key": "a", "style": "thinking", "text": join_thinking("Let me add.", ANSWER)},
        {"key": "b", "item_id": "item-1", "verdict": "no_answer", "text": "I do not know."},
        {"key": "c", "item_id": "item-2", "text": f"Look: {HOSTILE}. The answer is 2"},
        {"by_model": False, "style": "simplified", "text": "The source says 2."},
    )
    workspace.quality("sums").write(judged, "1")
    return workspace


def test_accepted_responses_are_exported_with_where_they_come_from(
    written: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    result = gradpipe("responses", "export", "--out", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 responses")
    assert "1 that did not pass" in result.stdout
    assert "later" in result.stderr
    table = pl.read_parquet(folder / "*.parquet")
    assert table.select("benchmark", "item_id", "style", "verdict", "key").rows() == [
        ("sums", "item-0", "answer_only", "passed", "a"),
        ("sums", "item-2", "detailed", "passed", "c"),
    ]
    assert table["messages"][0].to_list()[-1] == {"role": "assistant", "content": ANSWER}
    assert {path.name for path in tmp_path.iterdir() if path.name != "workspace"} == {"out"}


def test_all_responses_and_chosen_ones(written: Workspace, tmp_path: Path) -> None:
    every = tmp_path / "every"
    assert gradpipe("responses", "export", "--out", str(every), "--all").exit_code == 0
    assert pl.read_parquet(every / "*.parquet")["verdict"].to_list() == [
        "passed",
        "no_answer",
        "passed",
    ]
    chosen = tmp_path / "chosen"
    words = ("--benchmark", "sums", "--style", "thinking", "--with-thinking")
    result = gradpipe("responses", "export", "--out", str(chosen), *words)
    assert result.exit_code == 0, result.output
    [message] = pl.read_parquet(chosen / "*.parquet")["messages"].to_list()
    assert message[-1]["reasoning_content"] == "Let me add."


def test_datasets_loads_the_folder_by_its_card(
    written: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder), "--with-thinking", "--all")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 3}
    rows = loaded["train"]
    assert rows[0]["messages"][-1] == {
        "role": "assistant",
        "content": ANSWER,
        "reasoning_content": "Let me add.",
    }
    alone = datasets.load_dataset(
        "parquet", data_files=str(folder / "*.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert alone["train"].features == rows.features
    assert alone["train"].to_dict() == rows.to_dict()


def test_trl_takes_the_messages_as_a_conversation(written: Workspace, tmp_path: Path) -> None:
    data_utils = pytest.importorskip("trl.data_utils")
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    [row, *_] = pl.read_parquet(folder / "*.parquet").to_dicts()
    assert data_utils.is_conversational(row)


def test_the_commands_of_gradpipe_read_the_folder(
    written: Workspace, tmp_path: Path, small_model: Path
) -> None:
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    model = shutil.copytree(small_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text(TEMPLATE)
    looked = gradpipe("look", str(folder), "--model", str(model))
    assert looked.exit_code == 0, looked.output
    assert "messages" in looked.output
    assert ANSWER in looked.output
    spectra = tmp_path / "spectra.parquet"
    extracted = gradpipe("extract", str(folder), "--model", str(model), "--out", str(spectra))
    assert extracted.exit_code == 0, extracted.output
    assert set(pl.read_parquet(spectra)["example"]) == {0, 1}


def test_the_card_counts_verdicts_and_says_how_the_responses_were_made(
    written: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder), "--all")
    card = (folder / "README.md").read_text("utf-8")
    _, front, body = card.split("---\n", 2)
    metadata = yaml.safe_load(front)
    [split] = metadata["dataset_info"]["splits"]
    assert split["num_examples"] == 3
    size = (folder / "train-00000-of-00001.parquet").stat().st_size
    assert metadata["dataset_info"]["download_size"] == size
    lines = body.splitlines()
    assert "| sums | answer_only | writer | passed | 1 |" in lines
    assert "| sums | detailed | writer | no_answer | 1 |" in lines
    assert "cost 1.00." in body
    sampling = next(line for line in lines if line.startswith("| writer | writer-2026 | a\\|b"))
    assert "| 0.7 | 3 | 99 |" in sampling
    assert "<b>" not in sampling
    assert "Explain why 2 is right." in body


def test_a_request_with_backticks_stays_within_its_fence(
    written: Workspace, tmp_path: Path
) -> None:
    messages = json.dumps([{"role": "user", "content": "Run ````x````."}])
    written.generations("other").append(answers_of(answer_of("d", messages=messages)))
    written.quality("sums").write(judged_of({"key": "d"}), "2")
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    lines = (folder / "README.md").read_text("utf-8").splitlines()
    assert lines.count("`````") == lines.count("`````text") == 1


def test_responses_that_were_judged_before_their_keys_were_stored_are_found(
    written: Workspace, tmp_path: Path
) -> None:
    study = written.written_study()
    items = written.items("sums").read()
    calls = study_calls(study, study.benchmark("sums"), items).filter(style="detailed")
    answers = [answer_of(key, text=f"No. {n}") for n, key in enumerate(calls["key"])]
    written.generations("writer").append(answers_of(*answers))
    rows = [
        {"item_id": item, "text": f"No. {n}" if n else "Another text."}
        for n, item in enumerate(calls["item_id"])
    ]
    earlier = judged_of(*rows).drop("key")
    written.quality("sums").write(earlier, "2")
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    table = pl.read_parquet(folder / "*.parquet")
    assert table["key"].to_list() == [None, *calls["key"][1:]]
    assert table["written_by"].to_list() == ["a model", "writer", "writer"]


def test_an_earlier_export_is_replaced_only_on_request(written: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    refused(gradpipe("responses", "export", "--out", str(folder)), str(folder), "--overwrite")
    result = gradpipe("responses", "export", "--out", str(folder), "--all", "--overwrite")
    assert result.exit_code == 0
    assert pl.read_parquet(folder / "*.parquet").height == 3


def test_an_export_that_a_benchmark_reads_is_not_replaced(
    written: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    gradpipe("responses", "export", "--out", str(folder))
    study = tmp_path / "again.yaml"
    study.write_text(
        "models: [demo]\nbenchmarks: [{name: again, source: files, path: ./out}]\n", "utf-8"
    )
    words = ("responses", "export", "--out", str(folder), "--all", "--overwrite")
    refused(gradpipe(*words, "--study", str(study)), "train-00000-of-00001.parquet", "reads")
    assert pl.read_parquet(folder / "*.parquet").height == 2


def test_files_of_others_are_never_replaced(written: Workspace, tmp_path: Path) -> None:
    thesis = tmp_path / "out" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    words = ("responses", "export", "--out", str(thesis.parent), "--overwrite")
    refused(gradpipe(*words), "'thesis.tex'")
    refused(gradpipe(*words[:2], "--out", str(thesis)), str(thesis), "file")
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--benchmark", "sumz"), ("'sumz'", "'sums'")),
        (("--style", "detaild"), ("'detaild'", "'detailed'")),
        (("--style", "article"), ("'article'", "detailed")),
        (("--benchmark", "later"), ("yet", "gradpipe run")),
    ],
)
def test_what_is_not_there_is_named(
    written: Workspace, tmp_path: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    refused(gradpipe("responses", "export", "--out", str(tmp_path / "out"), *words), *named)
    assert not (tmp_path / "out").exists()


def test_without_responses_the_way_to_them_is_said(home: Path, tmp_path: Path) -> None:
    words = ("responses", "export", "--out", str(tmp_path / "out"))
    refused(gradpipe(*words), "gradpipe run")
    workspace = Workspace.current()
    workspace.keep_study(study_with(("sums",)))
    workspace.items("sums").write(items_of("sums"), "1")
    workspace.quality("sums").write(judged_of({"by_model": False}), "1")
    refused(gradpipe(*words), "`generator`")
    workspace.quality("sums").write(judged_of({"verdict": "no_answer"}), "2")
    refused(gradpipe(*words), "--all")
