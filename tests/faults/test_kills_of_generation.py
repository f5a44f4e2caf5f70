"""SIGKILL while responses are written, by a server and by a local model: each is paid once."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradpipe.studies.study import Study
from tests.faults.conftest import ROUNDS, Bench, kill_about, make_bench, spans
from tests.faults.proxy import Proxy
from tests.faults.tables import raw_keys, workspace_at
from tests.generators.conftest import ChatServer, Reply

pytestmark = pytest.mark.slow
QUESTIONS, CONCURRENCY, BATCH = 6, 2, 2
CALLS = 2 * QUESTIONS
TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def slowly(reply: Reply) -> None:
    """An answer that depends on the question alone, after a while."""
    time.sleep(0.05)
    reply.good()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    server.script = slowly
    yield server
    server.close()


def written_study(folder: Path, measured: Path, **generator: Any) -> Study:
    """Questions with answers and no responses: a generator writes two styles of each."""
    data = folder / "sums.jsonl"
    rows = [
        {"instruction": f"Question number {n}: what is {n}?", "answer": str(n)}
        for n in range(QUESTIONS)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sums = {"name": "sums", "source": "files", "path": str(data), "family": "math"}
    settings: dict[str, Any] = {
        "models": [{"id": str(measured), "name": "small"}],
        "benchmarks": [sums],
        "sampling": "first",
        "statistics": ["nuclear_norm"],
        "relevances": ["correct"],
        "generator": generator,
    }
    return Study.model_validate(settings)


@pytest.fixture
def by_server(tmp_path: Path, small_model: Path, server: ChatServer) -> Bench:
    study = written_study(
        tmp_path,
        small_model,
        kind="openai",
        model="writer",
        base_url=server.url,
        concurrency=CONCURRENCY,
        attempts=2,
        timeout=5,
    )
    keys = {"OPENAI_API_KEY": "any", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return make_bench(tmp_path, study, more_environment=keys)


@pytest.fixture
def by_model(tmp_path: Path, small_model: Path) -> Bench:
    writer = tmp_path / "writer"
    shutil.copytree(small_model, writer)
    (writer / "chat_template.jinja").write_text(TEMPLATE)
    study = written_study(
        tmp_path,
        small_model,
        kind="transformers",
        model=str(writer),
        batch=BATCH,
        max_tokens=8,
        mismatches="keep",
    )
    return make_bench(tmp_path, study)


def kept(workspace: Path) -> set[str]:
    """The answers that are in the store."""
    if not (workspace / "study.yaml").is_file():
        return set()
    return set(raw_keys(workspace_at(workspace))["generations"])


def test_answers_of_a_server_are_asked_for_once_through_every_kill(
    by_server: Bench, server: ChatServer, workspace: Path
) -> None:
    moments, fell, twice = random.Random("answers"), Counter[str](), 0
    ((what, (began, ended)),) = spans(by_server.whole.marks, "responses").items()
    for _ in range(ROUNDS):
        shutil.rmtree(workspace, ignore_errors=True)
        by_server.before("responses", workspace)
        server.requests.clear()
        run = by_server.begin(workspace)
        share = moments.uniform(-0.15, 1.15)
        fell[kill_about(run, what, began, ended - began, share)] += 1
        # What was on its way when the process died arrives at the server all the same.
        time.sleep(0.1)
        before, asked = kept(workspace), len(server.requests)
        assert asked <= len(before) + CONCURRENCY
        by_server.finish(workspace)
        assert not before & set(server.keys[asked:])
        assert len(server.requests) == asked + CALLS - len(before)
        twice += asked - len(before)
    print(f"by a server: {dict(fell)}, {twice} calls in flight were asked for again")
    assert fell["during"] >= ROUNDS // 3


def test_answers_of_a_local_model_are_written_once_through_every_kill(
    by_model: Bench, workspace: Path
) -> None:
    moments, fell = random.Random("a local model"), Counter[str]()
    ((what, (began, ended)),) = spans(by_model.whole.marks, "responses").items()
    for _ in range(ROUNDS):
        shutil.rmtree(workspace, ignore_errors=True)
        by_model.before("responses", workspace)
        run = by_model.begin(workspace)
        share = moments.uniform(-0.15, 1.15)
        fell[kill_about(run, what, began, ended - began, share)] += 1
        assert len(kept(workspace)) % BATCH == 0
        by_model.finish(workspace)
    print(f"by a local model: {dict(fell)}")
    assert fell["during"] >= ROUNDS // 3


def test_a_server_that_is_gone_for_a_while_fails_its_stage_and_is_asked_for_the_rest(
    tmp_path: Path, small_model: Path, server: ChatServer, workspace: Path
) -> None:
    proxy = Proxy(server.url)
    study = written_study(
        tmp_path,
        small_model,
        kind="openai",
        model="writer",
        base_url=f"{proxy.url}/v1",
        concurrency=CONCURRENCY,
        attempts=2,
        timeout=5,
    )
    keys = {"OPENAI_API_KEY": "any", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    bench = make_bench(tmp_path, study, more_environment=keys)
    bench.before("responses", workspace)
    server.requests.clear()
    run = bench.begin(workspace)
    while run.process.is_alive() and len(kept(workspace)) < 3:
        run.process.join(0.01)
    proxy.close()
    ended = run.end()
    assert ended.code == 1
    assert "Traceback" not in ended.errors
    assert "are not written" in ended.errors
    before = kept(workspace)
    assert 3 <= len(before) < CALLS
    proxy.open()
    asked = len(server.requests)
    bench.finish(workspace)
    assert len(server.requests) == asked + CALLS - len(before)
    proxy.close()
