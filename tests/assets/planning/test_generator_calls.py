"""Responses that a model writes go through the pipeline like ready-made ones, and are paid once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.planning.costs import estimates, generation_bills
from assets.planning.plan import Plan
from assets.planning.response_origins import provenance_of
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.generators import retries
from gradpipe.generators.calls import CALL_SCHEMA
from gradpipe.studies.study import Study
from gradpipe.studies.study_styles import StudyStyles
from storage.row_store import RowStore
from storage.workspace import Workspace
from tests.generators.conftest import KEY, ChatServer, Reply


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)


def questions(folder: Path, numbers: range) -> Path:
    path = folder / "sums.jsonl"
    rows = [
        {"instruction": f"Question number {n}: what is {n}?", "answer": str(n)} for n in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def study(home: Path, tmp_path: Path, small_model: Path, server: ChatServer) -> Study:
    """Four questions with answers and no responses; a scripted server writes two styles."""
    sums = {
        "name": "sums",
        "source": "files",
        "path": str(questions(tmp_path, range(4))),
        "family": "math",
    }
    return Study.model_validate(
        {
            "models": [{"id": str(small_model), "name": "small"}],
            "benchmarks": [sums],
            "sampling": "first",
            "statistics": ["nuclear_norm"],
            "generator": {
                "kind": "openai",
                "model": "writer",
                "base_url": server.url,
                "attempts": 2,
                "timeout": 5,
            },
        }
    )


def changed(study: Study, **generator: Any) -> Study:
    settings = study.model_dump(exclude_defaults=True)
    settings["generator"] |= generator
    return Study.model_validate(settings)


def bring(study: Study) -> Runner:
    runner = Runner(Workspace.current(), study, Accelerator())
    runner.bring_up_to_date()
    return runner


def examples() -> pl.DataFrame:
    return Workspace.current().responses("sums").read()


def test_what_the_source_lacks_is_written_and_goes_all_the_way_to_the_report(
    study: Study, server: ChatServer
) -> None:
    runner = bring(study)
    assert not runner.failures
    found = examples().filter(pl.col("relevance") == "correct")
    assert found.group_by("style").len().sort("style").rows() == [
        ("detailed", 4),
        ("none", 4),
        ("simplified", 4),
    ]
    assert found.filter(pl.col("style") == "none")["response"].to_list() == ["0", "1", "2", "3"]
    written = found.filter(pl.col("style") != "none")
    assert written["verdict"].unique().to_list() == ["passed"]
    assert len(server.requests) == 8
    page = Workspace.current().report_page.read_text()
    assert 'id="caption-quality"' in page


def test_the_report_and_the_workspace_know_where_responses_come_from(study: Study) -> None:
    priced = changed(study, price={"prompt": 2, "response": 10}, temperature=0.5, seed=7)
    assert not bring(priced).failures
    workspace = Workspace.current()
    known = provenance_of(workspace, priced, "sums").drop("text")
    assert known["written_by"].to_list() == ["writer"] * 8
    assert known.select(
        "temperature", "seed", "prompt_tokens", "response_tokens"
    ).unique().rows() == [(0.5, 7, 50, 10)]
    assert known["cost"].to_list() == pytest.approx([2e-4] * 8)
    tables = workspace.report_folder / "tables"
    listed = pl.read_csv(tables / "responses_in_full.csv")
    assert listed["key"].to_list() == known["key"].to_list()
    summary = pl.read_csv(tables / "responses_by_writer.csv")
    assert summary.select("style", "written_by", "responses", "accepted").rows() == [
        ("simplified", "writer", 4, 1.0),
        ("detailed", "writer", 4, 1.0),
    ]

    # As an earlier version wrote it, without the keys of the calls.
    table = workspace.quality("sums")
    earlier = table.read().with_columns(key=pl.lit(None, dtype=pl.String))
    table.write(earlier, table.require_notes().version)
    assert "key" not in pl.read_parquet_schema(table.path)
    assert provenance_of(workspace, priced, "sums").drop("text").equals(known)
    computed = bring(priced).account()["stages"]
    assert {stage: counts["computed"] for stage, counts in computed.items()} == dict.fromkeys(
        computed, 0
    )


@pytest.mark.usefixtures("plain_report")
def test_nothing_is_asked_twice(study: Study, server: ChatServer, tmp_path: Path) -> None:
    bring(study)
    assert bring(study).counts["responses"].computed == 0
    # Two more questions cost two questions; another name for them costs nothing.
    questions(tmp_path, range(6))
    bring(study)
    assert len(server.requests) == 12
    renamed = [study.benchmarks[0].model_copy(update={"name": "totals"})]
    assert not bring(study.model_copy(update={"benchmarks": tuple(renamed)})).failures
    assert len(server.requests) == len(set(server.keys)) == 12


@pytest.mark.usefixtures("plain_report")
def test_how_many_at_a_time_changes_nothing_and_another_prompt_everything(
    study: Study, server: ChatServer, tmp_path: Path
) -> None:
    bring(study)
    assert (
        bring(changed(study, concurrency=1, budget={"requests": 9})).counts["responses"].computed
        == 0
    )
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "simplified.txt").write_text("[user]\n{instruction} {answer}")
    bring(changed(study, prompts=str(tmp_path / "prompts")))
    assert len(server.requests) == 12


@pytest.mark.usefixtures("plain_report")
def test_every_good_row_is_kept_and_every_bad_one_named(study: Study, server: ChatServer) -> None:
    def some_fail(reply: Reply) -> None:
        if reply.number == 2:
            reply.send({"error": {"message": "out of order"}}, status=500)
        else:
            reply.good()

    server.script = some_fail
    [failure, *_] = bring(study).failures
    assert failure.stage == "responses"
    assert "2 of 8 responses for benchmark 'sums' are not written" in failure.reason
    assert "item 2" in failure.reason
    store = Workspace.current().generations("writer")
    assert store.keys().len() == 6
    # The next run asks for the others alone.
    server.script = Reply.good
    before = len(server.requests)
    assert not bring(study).failures
    assert len(server.requests) == before + 2
    assert examples().filter(pl.col("relevance") == "correct").height == 12


@pytest.mark.usefixtures("plain_report")
def test_a_spent_budget_stops_cleanly_and_the_next_run_goes_on(
    study: Study, server: ChatServer
) -> None:
    small = changed(study, budget={"requests": 5})
    [failure, *_] = bring(small).failures
    assert "budget" in failure.reason
    assert len(server.requests) == 5
    assert not bring(small).failures
    assert len(server.requests) == len(set(server.keys)) == 8


def wrong_twice(reply: Reply) -> None:
    reply.good("The final answer is 17" if reply.number in {0, 1} else None)


@pytest.mark.usefixtures("plain_report")
def test_wrong_answers_are_marked_and_left_out(study: Study, server: ChatServer) -> None:
    server.script = wrong_twice
    runner = bring(study)
    assert not runner.failures
    found = examples().filter(pl.col("relevance") == "correct")
    counts = dict(found.group_by("style").len().iter_rows())
    assert counts == {"none": 4, "simplified": 2, "detailed": 2}
    verdicts = Workspace.current().quality("sums").read()
    differing = verdicts.filter(pl.col("verdict") == "answer_differs")
    assert differing["found_answer"].to_list() == ["17"] * 4


@pytest.mark.usefixtures("plain_report")
def test_wrong_answers_stay_with_their_mark_where_the_study_keeps_them(
    study: Study, server: ChatServer
) -> None:
    server.script = wrong_twice
    notes: list[str] = []
    keeping = changed(study, mismatches="keep")
    runner = Runner(Workspace.current(), keeping, Accelerator(), on_note=notes.append)
    runner.bring_up_to_date()
    found = examples().filter(pl.col("relevance") == "correct", pl.col("style") == "detailed")
    assert found["verdict"].to_list() == ["answer_differs"] * 2 + ["passed"] * 2
    assert any("answers_agree" in note and "50.0%" in note for note in notes)


def test_where_nothing_passes_the_reason_is_said(study: Study, server: ChatServer) -> None:
    server.script = lambda reply: reply.good("I'm sorry, but I can't help with that.")
    [failure, *_] = bring(study).failures
    assert "passed the gates (mostly refusal)" in failure.reason


@pytest.mark.usefixtures("plain_report")
def test_what_is_still_to_be_paid_is_said_before(study: Study, server: ChatServer) -> None:
    priced = changed(study, price={"prompt": 2.5, "response": 10})
    plan = Plan(Versions(Workspace.current(), priced))
    [bill] = generation_bills(plan).values()
    assert (bill.requests, sum(bill.response_tokens.values())) == (8, 4 * (80 + 410))
    assert bill.cost is not None
    assert bill.cost > 4 * 490 * 10 / 1e6
    assert [cell.rows for cell in estimates(plan)] == [0]
    assert not server.requests
    bring(priced)
    after = Plan(Versions(Workspace.current(), priced))
    assert generation_bills(after) == {}


def test_the_key_is_in_no_file_of_the_workspace(study: Study, server: ChatServer) -> None:
    server.script = wrong_twice
    bring(study)
    folder = Workspace.current().root
    assert isinstance(folder, Path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.usefixtures("plain_report")
def test_length_matched_styles_are_made_of_written_ones(study: Study, server: ChatServer) -> None:
    server.script = lambda reply: reply.good(
        f"First we look. Then we count. The final answer is {reply.number}"
    )
    styles = StudyStyles(("none_padded", "detailed_cut"))
    assert not bring(study.model_copy(update={"styles": styles})).failures
    assert set(examples()["style"]) == set(styles)
    # Both are made of others, which had to be written.
    assert len(server.requests) == 8


@pytest.mark.usefixtures("plain_report")
def test_thinking_and_its_answer_are_one_paid_call(study: Study, server: ChatServer) -> None:
    def script(reply: Reply) -> None:
        thought = None if reply.number == 3 else f"It is {reply.number}."
        message = {"content": f"So {reply.number}.", "reasoning_content": thought}
        reply.good(choices=[{"message": message, "finish_reason": "stop"}])

    server.script = script
    thinking = changed(
        study.model_copy(update={"styles": StudyStyles(("answer_only", "thinking"))})
    )
    assert not bring(thinking).failures
    assert len(server.requests) == 4
    correct = examples().filter(relevance="correct")
    texts = [list(pair) for pair in correct.select("style", "response").iter_rows()]
    assert texts == [
        [style, text]
        for number in range(3)
        for style, text in (
            ("answer_only", f"So {number}."),
            ("thinking", f"<think>\nIt is {number}.\n</think>\n\nSo {number}."),
        )
    ]
    quality = Workspace.current().quality("sums").read()
    failed = quality.filter(pl.col("verdict") != "passed")
    assert sorted(failed.select("style", "verdict").iter_rows()) == [
        ("answer_only", "no_thinking"),
        ("thinking", "no_thinking"),
    ]


@pytest.mark.usefixtures("plain_report")
def test_answers_stored_before_thinking_had_a_column_are_read_without_a_new_call(
    study: Study, server: ChatServer
) -> None:
    def script(reply: Reply) -> None:
        reply.good(f"<think>\nMaybe 7?\n</think>\n\nThe answer is {reply.number}.")

    server.script = script
    assert not bring(study).failures
    store = Workspace.current().generations("writer")
    whole = pl.concat_str(pl.lit("<think>\nMaybe 7?\n</think>\n\n"), "text").alias("text")
    rows = store.scan().with_columns(whole).drop("reasoning").collect()
    assert store.discard(pl.lit(value=True)) == rows.height == 8
    earlier = pl.Schema({name: kind for name, kind in CALL_SCHEMA.items() if name != "reasoning"})
    RowStore(store.folder, earlier).append(rows)
    asked = len(server.requests)
    assert not bring(study.model_copy(update={"seed": 1})).failures
    assert len(server.requests) == asked
    written = examples().filter(pl.col("style") == "detailed", pl.col("relevance") == "correct")
    assert written["response"].to_list() == [f"The answer is {number}." for number in range(4)]
