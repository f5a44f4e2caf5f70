"""Samples and batch files in a study: from the estimate to the report, and paid once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.planning.costs import generation_bills
from assets.planning.generator_calls import with_batch_folder
from assets.planning.plan import Plan
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.responses import RESPONSES
from assets.running.runner import Runner
from gradpipe.benchmarks.samples import base_item, sample_number
from gradpipe.generators import retries
from gradpipe.generators.config import GeneratorConfig
from gradpipe.studies.study import Study
from storage.stages import Partition
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


@pytest.fixture
def study(home: Path, tmp_path: Path, small_model: Path, server: ChatServer) -> Study:
    """Four questions without responses, whose detailed ones a scripted server writes."""
    path = tmp_path / "sums.jsonl"
    rows = [
        {"instruction": f"Question number {n}: what is {n}?", "answer": str(n)} for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sums = {"name": "sums", "source": "files", "path": str(path), "family": "math"}
    return Study.model_validate(
        {
            "models": [{"id": str(small_model), "name": "small"}],
            "benchmarks": [sums],
            "styles": ["none", "detailed"],
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
    return Workspace.current().responses("sums").read().with_columns(sample_number())


def various(reply: Reply) -> None:
    """Another text for each seed; the second sample of item 3 is wrong."""
    seed = int(reply.body["seed"])
    right = (reply.number, seed) != (3, 6)
    reply.good(f"Way {seed}.\nThe final answer is {reply.number if right else 17}")


@pytest.mark.usefixtures("plain_report")
def test_samples_are_planned_written_and_measured_as_items_of_their_own(
    study: Study, server: ChatServer
) -> None:
    server.script = various
    one = changed(study, temperature=1, seed=5)
    assert not bring(one).failures
    first = examples()
    three = changed(study, temperature=1, seed=5, n=3)
    plan = Plan(Versions(Workspace.current(), three))
    [bill] = generation_bills(plan).values()
    assert bill.requests == 8
    assert not bring(three).failures
    assert len(server.requests) == len(set(server.keys)) == 12
    found = examples()
    correct = found.filter(relevance="correct")
    counts = dict(correct.group_by("style").len().iter_rows())
    # One bare answer per item, and the wrong sample is left out.
    assert counts == {"none": 4, "detailed": 11}
    assert correct.filter(style="detailed")["response"].n_unique() == 11
    assert (
        correct.filter(style="detailed")["index"].to_list() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 2
    )
    quality = Workspace.current().quality("sums").read()
    [wrong] = quality.filter(pl.col("verdict") != "passed").rows(named=True)
    assert wrong["item_id"].endswith("#2")
    # What one sample had computed stays.
    same = first.join(found, on=["example_id", "item_id", "style", "relevance"], how="semi")
    assert same.height == first.height
    irrelevant = found.filter(relevance="irrelevant")
    assert irrelevant.filter(base_item() == base_item("donor_item_id")).is_empty()
    assert irrelevant.filter(style="detailed").height == 11
    statistics = Workspace.current().statistics("small", "sums").read()
    assert statistics.select("item_id", "style", "relevance").n_unique() == found.height
    assert not Plan(Versions(Workspace.current(), three)).stale()


@pytest.mark.usefixtures("plain_report")
def test_a_sample_that_fails_is_named(study: Study, server: ChatServer) -> None:
    def script(reply: Reply) -> None:
        if (reply.number, reply.body["seed"]) == (2, 1):
            reply.send({"error": {"message": "out of order"}}, status=400)
        else:
            reply.good()

    server.script = script
    [failure, *_] = bring(changed(study, temperature=1, seed=0, samples=2)).failures
    assert "1 of 8 responses" in failure.reason
    assert "detailed of item 2 (sample 2)" in failure.reason


def test_a_setting_of_requests_makes_the_responses_stale(study: Study, server: ChatServer) -> None:
    changes: list[dict[str, Any]] = [
        {"system": "Be brief."},
        {"few_shot": [{"user": "1 + 1?", "assistant": "2"}]},
        {"extra_body": {"top_p": 0.5}},
        {"response_format": {"type": "text"}},
        {"max_completion_tokens": 2048},
    ]
    versions = [
        Versions(Workspace.current(), one).version(RESPONSES, Partition(benchmark="sums"))
        for one in [study, changed(study, concurrency=1), *(changed(study, **c) for c in changes)]
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 1 + len(changes)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    number = request["body"]["messages"][-1]["content"].partition("number ")[2].partition(":")[0]
    choice = {"message": {"content": f"The final answer is {number}"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 50, "completion_tokens": 10}
    body = {"choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}


def test_a_batch_is_written_answered_and_read(
    study: Study, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    settings = study.model_dump(exclude_defaults=True)
    settings["generator"] = {"kind": "batch", "model": "writer"}
    by_files = Study.model_validate(settings)
    plan = Plan(Versions(Workspace.current(), by_files))
    assert [bill.requests for bill in generation_bills(plan).values()] == [4]
    [failure, *_] = bring(by_files).failures
    root = Workspace.current().local_root
    assert root is not None
    [requests] = (root / "batches").glob("*.jsonl")
    assert "4 of 4 responses for benchmark 'sums' are not written: upload" in failure.reason
    assert str(requests) in failure.reason
    assert failure.reason.count(". ") == 0
    lines = [answer(json.loads(line)) for line in requests.read_text().splitlines()]
    lines[1] |= {"response": None, "error": {"message": "Expired."}}
    output = requests.with_name("output.jsonl")
    output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    [failure, *_] = bring(by_files).failures
    assert "1 of 4 responses" in failure.reason
    assert "Expired" in failure.reason
    [second] = {*requests.parent.glob("requests-*")} - {requests}
    assert str(second) in failure.reason
    again = [answer(json.loads(line)) for line in second.read_text().splitlines()]
    requests.with_name("second.jsonl").write_text(json.dumps(again[0]) + "\n")
    assert not bring(by_files).failures
    assert examples().filter(relevance="correct", style="detailed").height == 4
    assert Workspace.current().generations("writer").keys().len() == 4
    assert not server.requests


def test_the_studys_own_batch_folder_counts(home: Path, tmp_path: Path) -> None:
    config = GeneratorConfig(kind="batch", model="w", batch_folder=str(tmp_path))
    assert with_batch_folder(config, Workspace.current()) is config
    live = GeneratorConfig(kind="openai", model="w")
    assert with_batch_folder(live, Workspace.current()) is live
