"""A judge is asked about each response without a found answer, once, and never stops the rest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.benchmark_items import BENCHMARK_ITEMS
from assets.partitions import sync_partitions
from assets.planning.costs import opinion_bills
from assets.planning.plan import Plan
from assets.planning.status import missing_replies
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.responses import RESPONSES
from assets.running.instance import open_instance
from assets.running.runner import Runner
from gradpipe.generators import retries
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import resources
from tests.generators.conftest import KEY, ChatServer, Reply

UNCLEAR = "It is the one that I named before."
#: Per item, in order: what the rules find, and what the judge replies.
TEXTS = ("The final answer is 0.", "The final answer is 9.", UNCLEAR, UNCLEAR, UNCLEAR)
REPLIES = {2: "2", 3: "17", 4: "NONE"}
UNDECIDED = sorted(REPLIES)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    server.script = by_judge
    yield server
    server.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)


def by_judge(reply: Reply) -> None:
    """The judge's replies; a writer's responses have no answer that rules find."""
    reply.good(UNCLEAR if reply.body["model"] == "writer" else REPLIES.get(reply.number, "NONE"))


@pytest.fixture
def study(home: Path, tmp_path: Path, small_model: Path, server: ChatServer) -> Study:
    """Five questions with responses of their source, and a judge."""
    path = tmp_path / "sums.jsonl"
    rows = [
        {"instruction": f"Question number {n}: what is {n}?", "answer": str(n), "detailed": text}
        for n, text in enumerate(TEXTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sums = {"name": "sums", "source": "files", "path": str(path), "family": "math"}
    judge = {"model": "reader", "base_url": server.url, "attempts": 2, "timeout": 5}
    return Study.model_validate(
        {
            "models": [{"id": str(small_model), "name": "small"}],
            "benchmarks": [sums],
            "styles": ["detailed"],
            "relevances": ["correct"],
            "sampling": "first",
            "statistics": ["nuclear_norm"],
            "judge": judge,
        }
    )


def changed(study: Study, part: str = "judge", **settings: Any) -> Study:
    content = study.model_dump(exclude_defaults=True)
    content[part] = content.get(part, {}) | settings
    return Study.model_validate(content)


def with_writer(study: Study, **settings: Any) -> Study:
    assert study.judge is not None
    writer = {"kind": "openai", "model": "writer", "base_url": study.judge.address}
    return changed(study, "generator", **writer, styles=["detailed"], **settings)


def build(study: Study) -> dg.ExecuteInProcessResult:
    """Materialize the items and the examples, without any model."""
    Workspace.current().keep_study(study)
    with open_instance(Workspace.current()) as instance:
        sync_partitions(instance, study)
        return dg.materialize(
            [BENCHMARK_ITEMS.asset, RESPONSES.asset],
            partition_key="sums",
            instance=instance,
            resources=resources(),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def failure(outcome: dg.ExecuteInProcessResult) -> str:
    [event] = outcome.filter_events(lambda event: event.is_step_failure)
    error: Any = event.step_failure_data.error
    return str(error.cause or error)


def check(outcome: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [
        found
        for found in outcome.get_asset_check_evaluations()
        if found.check_name == "second_opinions"
    ]
    return found


def quality() -> pl.DataFrame:
    return Workspace.current().quality("sums").read()


def verdicts() -> list[str]:
    return quality()["verdict"].to_list()


def plan_of(study: Study, **settings: bool) -> Plan:
    return Plan(Versions(Workspace.current(), study), **settings)


def test_each_undecided_response_is_asked_about_once(study: Study, server: ChatServer) -> None:
    outcome = build(study)
    assert sorted(request["number"] for request in server.requests) == UNDECIDED
    assert {request["body"]["temperature"] for request in server.requests} == {0}
    found = quality()
    assert verdicts() == ["passed", "answer_differs", "passed", "answer_differs", "no_answer"]
    assert found["judged_by"].to_list() == ["rules", "rules", "reader", "reader", "reader"]
    assert found["judge_reply"].to_list() == [None, None, "2", "17", "NONE"]
    assert check(outcome).passed
    # The same verdicts, without a call: nothing changed, and then another setting did.
    assert build(study).success
    assert build(changed(study, concurrency=1)).success
    assert build(study.model_copy(update={"correct": "verified"})).success
    assert len(server.requests) == 3
    assert Workspace.current().responses("sums").read()["index"].to_list() == [0, 2]


def test_another_prompt_or_model_asks_again(
    study: Study, server: ChatServer, tmp_path: Path
) -> None:
    build(study)
    prompt = tmp_path / "judge.txt"
    prompt.write_text("[user]\n{instruction} {response} {form}")
    build(changed(study, prompt=str(prompt)))
    assert len(server.requests) == 6
    build(changed(study, model="reader2"))
    assert len(server.requests) == 9
    assert quality()["judged_by"].unique().sort().to_list() == ["reader2", "rules"]
    build(study)
    assert len(server.requests) == len(set(server.keys)) == 9


def test_without_a_judge_a_table_is_as_it_always_was(study: Study, server: ChatServer) -> None:
    assert build(study.model_copy(update={"judge": None})).success
    assert not server.requests
    file = Workspace.current().quality("sums").path
    assert isinstance(file, Path)
    assert not {"judged_by", "judge_reply"} & pl.read_parquet_schema(file).keys()
    assert quality()["judged_by"].to_list() == [None] * 5


def test_a_call_that_fails_leaves_the_verdict_and_is_repeated_by_the_next_run(
    study: Study, server: ChatServer
) -> None:
    def one_fails(reply: Reply) -> None:
        if reply.number == 2:
            reply.send({"error": {"message": "out of order"}}, status=500)
        else:
            by_judge(reply)

    server.script = one_fails
    outcome = build(study)
    assert outcome.success
    assert verdicts() == ["passed", "answer_differs", "no_answer", "answer_differs", "no_answer"]
    assert not check(outcome).passed
    assert "out of order" in str(check(outcome).description)
    assert missing_replies(Workspace.current(), study) == {"sums": 1}
    # A sensor does not ask again and again; a run does.
    stages = {stage for stages in plan_of(study).stale().values() for stage in stages}
    assert RESPONSES not in stages
    server.script = by_judge
    before = len(server.requests)
    notes: list[str] = []
    runner = Runner(Workspace.current(), study, Accelerator(), on_note=notes.append)
    runner.bring_up_to_date()
    assert not runner.failures
    assert [request["number"] for request in server.requests[before:]] == [2]
    assert verdicts()[2] == "passed"
    assert not missing_replies(Workspace.current(), study)
    counts = pl.read_csv(Workspace.current().report_folder / "tables" / "quality.csv")
    assert counts["by_judge"].sum() == 3
    runner.bring_up_to_date()
    assert len(server.requests) == before + 1


def test_a_server_that_refuses_every_call_stops_the_benchmark_and_loses_nothing(
    study: Study, server: ChatServer
) -> None:
    def refused(reply: Reply) -> None:
        if reply.body["model"] == "reader":
            reply.send({"error": {"message": "wrong key"}}, status=401)
        else:
            by_judge(reply)

    server.script = refused
    written = with_writer(study, mismatches="keep")
    message = failure(build(written))
    assert "judge's server" in message
    assert "OPENAI_API_KEY" in message
    assert Workspace.current().generations("writer").keys().len() == 5
    server.script = by_judge
    assert build(written).success
    asked = [request["body"]["model"] for request in server.requests]
    assert asked.count("writer") == 5


def test_a_spent_budget_keeps_the_replies_and_says_how_to_continue(
    study: Study, server: ChatServer
) -> None:
    small = changed(study, budget={"requests": 2})
    message = failure(build(small))
    assert "1 of 3 second opinions" in message
    assert "judge's budget.requests" in message
    assert build(small).success
    assert len(server.requests) == len(set(server.keys)) == 3


def test_a_written_response_passes_if_the_judge_finds_its_answer(
    study: Study, server: ChatServer
) -> None:
    assert build(with_writer(study)).success
    examples = Workspace.current().responses("sums").read()
    assert examples.filter(pl.col("style") == "detailed")["index"].to_list() == [2]
    mismatches = {"relevances": ("correct", "wrong"), "wrong": "mismatches"}
    wrong = with_writer(study).model_copy(update=mismatches)
    assert build(wrong).success
    found = Workspace.current().responses("sums").read()
    assert found.filter(relevance="wrong")["index"].to_list() == [3]


def test_what_a_judge_may_cost_is_said_before(study: Study, server: ChatServer) -> None:
    priced = changed(study, price={"prompt": 2.5, "response": 10})
    [bill] = opinion_bills(plan_of(priced)).values()
    assert (bill.bill.requests, bill.most_later) == (3, 0)
    assert bill.bill.cost is not None
    # The responses of a writer are not known yet.
    written = with_writer(priced, mismatches="keep")
    [bill] = opinion_bills(plan_of(written)).values()
    assert (bill.bill.requests, bill.most_later) == (0, 5)
    assert not server.requests
    assert build(written).success
    assert opinion_bills(plan_of(written)) == {}


def test_the_key_is_in_no_file(study: Study, server: ChatServer) -> None:
    server.script = lambda reply: reply.good(f"it is {KEY}")
    build(study)
    folder = Workspace.current().root
    assert isinstance(folder, Path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
