"""The key: in the request's header and nowhere else."""

import io
import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from gradpipe.errors import GradpipeError
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from gradpipe.generators.secrets import read_key, redact
from tests.generators.conftest import KEY, ChatServer, Reply, Store, make_items

Configure = Callable[..., GeneratorConfig]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any logger says, at every level."""
    root, text = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    names = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def echo(reply: Reply) -> None:
    """A server that gives the key back wherever it can."""
    header = reply.headers["Authorization"]
    message = f"Incorrect API key provided: {KEY} ({header})"
    if reply.number == 0:
        reply.send(
            {"error": {"message": message, "code": KEY}}, 500, X_Request_Id=KEY, X_Echo=header
        )
    elif reply.number == 1:
        reply.send(f"{'x' * 290} {message}", 400, "text/plain", X_Echo=header)
    elif reply.number == 2:
        reply.good(f"The key is {KEY}.")
    elif reply.number == 3:
        reply.good(choices=[{"message": {"content": "Well."}, "finish_reason": KEY}])
    elif reply.number == 4:
        reply.good(choices=KEY)
    elif reply.number == 5:
        reply.send(message, 200, "text/plain")
    else:
        reply.good(id=KEY, model=KEY, system_fingerprint=header)


def test_the_key_is_sent_and_written_nowhere(
    server: ChatServer,
    configure: Configure,
    store: Store,
    log: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server.script = echo
    config = configure()
    calls = plan_calls(make_items(8), config)
    seen: list[object] = []
    summary = generate(calls, config, store.keep, seen.append)
    assert {request["headers"]["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert (summary.kept, len(summary.failed)) == (3, 5)
    assert "HTTP Request" in log.getvalue()
    streams = "".join(capfd.readouterr())
    everything = [summary, config, config.identity(), seen, list(store), calls.to_dicts(), streams]
    for text in (*map(repr, everything), summary.sentence(), log.getvalue()):
        assert KEY not in text
        # Not in part either, as it would be where a text is cut before it is searched.
        assert KEY[:12] not in text


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_error_does_not_carry_the_key_not_even_in_what_caused_it(
    server: ChatServer, configure: Configure, store: Store, log: io.StringIO, status: int
) -> None:
    def script(reply: Reply) -> None:
        message = f"Incorrect API key provided: {KEY[:8]}****cdef or {KEY}"
        reply.send({"error": {"message": message}}, status, X_Echo=KEY)

    server.script = script
    config = configure()
    with pytest.raises(GradpipeError) as caught:
        generate(plan_calls(make_items(3), config), config, store.keep)
    error: BaseException | None = caught.value
    shown = "".join(traceback.format_exception(caught.value))
    assert error.__cause__ is None
    assert error.__context__ is None
    assert KEY not in shown + repr(vars(error)) + log.getvalue()
    assert "****" not in str(error)


def test_the_logs_are_as_they_were_afterwards(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    before = {name: list(logging.getLogger(name).filters) for name in ("openai", "httpx2")}
    generate(plan_calls(make_items(1), configure()), configure(), store.keep)
    assert {name: logging.getLogger(name).filters for name in before} == before


def test_a_key_that_is_not_set_is_asked_for_by_name(
    configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    config = configure(base_url="https://api.mistral.ai/v1")
    with pytest.raises(GradpipeError, match="OPENAI_API_KEY is not set"):
        generate(plan_calls(make_items(1), config), config, store.keep)


def test_a_server_on_this_machine_needs_no_key(
    server: ChatServer, configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    generate(plan_calls(make_items(1), configure()), configure(), store.keep)
    assert server.requests[0]["headers"]["authorization"] == "Bearer none"
    assert len(store) == 1


def test_another_variable_may_hold_the_key(
    server: ChatServer, configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", " other-secret\n")
    config = configure(key="OTHER_KEY")
    generate(plan_calls(make_items(1), config), config, store.keep)
    assert server.requests[0]["headers"]["authorization"] == "Bearer other-secret"


@pytest.mark.parametrize("key", ["two words", "typed’quote", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", key)
    with pytest.raises(GradpipeError, match="OTHER_KEY") as caught:
        read_key("OTHER_KEY", needed=True)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"the key {KEY}!", "the key [key]!"),
        ("provided: sk-ab12****9f.", "provided: [key]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [key]"),
        ("swordfish", "[key]"),
        ("task-force, a risk-free desk-top", "task-force, a risk-free desk-top"),
    ],
)
def test_what_looks_like_a_key_is_taken_out(text: str, clean: str) -> None:
    assert redact(text, [KEY, "swordfish"]) == clean
