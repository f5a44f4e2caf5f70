"""The server of a study's generator, as a run would meet it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradpipe.cli import main
from gradpipe.doctor.finding import Finding, examine
from gradpipe.doctor.generator import GENERATOR, JUDGE, examine_generator, examine_judge
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.judge import JudgeConfig
from tests.generators.conftest import ChatServer, Reply

KEY = "sk-neverwritten0123456789abcdef"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


def found(url: str, **settings: Any) -> list[Finding]:
    values = {"kind": "openai", "model": "writer", "base_url": url, **settings}
    config = GeneratorConfig.model_validate(values)
    return examine(GENERATOR, lambda: examine_generator(config))


def test_a_server_on_this_machine_needs_no_key(server: ChatServer) -> None:
    key, reached = found(server.url)
    assert (key.state, reached.state) == ("ok", "ok")
    assert "without one" in key.found
    assert "'writer'" in reached.found


def test_a_model_that_is_not_listed_is_a_warning(server: ChatServer) -> None:
    *_, reached = found(server.url, model="lost")
    assert reached.state == "warning"
    assert "writer, other" in reached.found


@pytest.mark.parametrize(
    ("listing", "state", "words"),
    [
        (lambda reply: reply.send({"detail": "Not Found"}, 404), "ok", "without a list"),
        (lambda reply: reply.send({"error": {"message": "no"}}, 401), "fault", "OPENAI_API_KEY"),
        (lambda reply: reply.send("busy", 503), "warning", "503"),
        (lambda reply: reply.send({"error": {"message": "Loading model"}}, 503), "warning", "Load"),
        (lambda reply: reply.send("<html>hello</html>"), "ok", "responds"),
    ],
)
def test_what_a_server_answers(
    server: ChatServer, listing: Callable[[Reply], None], state: str, words: str
) -> None:
    server.listing = listing
    *_, reached = found(server.url)
    assert reached.state == state
    assert words in str(reached)


def test_a_server_that_is_not_there_is_a_fault() -> None:
    *_, reached = found("http://127.0.0.1:9/v1")
    assert reached.state == "fault"
    assert "base_url" in reached.cure


def test_a_known_service_needs_its_key() -> None:
    (missing,) = found("https://openrouter.ai/api/v1", key="ROUTER_KEY")
    assert missing.state == "fault"
    assert "ROUTER_KEY" in missing.found


def test_a_proxy_that_cannot_be_used_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    (fault,) = found("http://ollama:11434/v1")
    assert fault.state == "fault"
    assert "ALL_PROXY" in fault.found


def test_the_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:swordfish@127.0.0.1:9")
    _, proxy, reached = found("http://ollama:11434/v1")
    assert "http://127.0.0.1:9" in proxy.found
    assert reached.state == "fault"
    assert "http://127.0.0.1:9" in reached.found
    assert "swordfish" not in f"{proxy} {reached}"


def test_a_key_that_the_study_does_not_name_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    key, _ = found("http://host.invalid:9/v1")
    assert key.state == "ok"
    assert "OPENAI_API_KEY is set, but" in key.found


def test_other_generators_have_no_server() -> None:
    assert list(examine_generator(GeneratorConfig())) == []


def test_a_judge_is_asked_like_a_generator_and_called_by_its_name(server: ChatServer) -> None:
    judge = JudgeConfig.model_validate({"model": "writer", "base_url": server.url})
    key, reached = examine(JUDGE, lambda: examine_judge(judge))
    assert [finding.subject for finding in (key, reached)] == [JUDGE, JUDGE]
    assert (key.state, reached.state) == ("ok", "ok")


def test_a_judge_on_a_known_service_needs_its_key() -> None:
    settings = {"model": "writer", "base_url": "https://openrouter.ai/api/v1", "key": "READER_KEY"}
    judge = JudgeConfig.model_validate(settings)
    (missing,) = examine(JUDGE, lambda: examine_judge(judge))
    assert (missing.subject, missing.state) == (JUDGE, "fault")
    assert "READER_KEY" in missing.found
    assert "generator" not in str(missing)


def test_the_doctor_of_a_study_asks_its_server(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("GRADPIPE_HOME", str(tmp_path / "workspace"))
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: asked\nmodels: [demo]\nbenchmarks: [mini_maths]\n"
        f"generator: {{kind: openai, model: writer, base_url: '{server.url}'}}\n"
    )
    monkeypatch.setattr("storage.workspace.DEFAULT_STUDY", str(study))
    result = CliRunner().invoke(main, ["doctor", "--json"], catch_exceptions=False)
    findings = json.loads(result.stdout.splitlines()[-1])["findings"]
    states = [each["state"] for each in findings if each["subject"] == GENERATOR]
    assert states == ["ok", "ok"]
