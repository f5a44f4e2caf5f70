"""A chat server that answers by script, items to ask it about, and a key to look for."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.items import build_items
from gradpipe.generators import retries
from gradpipe.generators.config import GeneratorConfig

KEY = "sk-neverwritten0123456789abcdef"


class Reply(BaseHTTPRequestHandler):
    """One request as a script sees it: ``number`` is the question's, ``attempt`` counts from 1."""

    protocol_version = "HTTP/1.1"
    body: dict[str, Any]
    number: int
    attempt: int

    def good(self, text: str | None = None, **changes: Any) -> None:
        """A completion as OpenAI's server writes it."""
        text = f"Because.\nThe final answer is {self.number}" if text is None else text
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        self.send({**completion, "choices": [choice], "usage": usage, **changes})

    def send(
        self, body: Any, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        """Any body, as JSON unless it is text."""
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def half(self) -> None:
        """A body that ends before its announced length."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [{"mess')
        self.nothing()

    def nothing(self) -> None:
        """No more bytes: the connection is closed."""
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


def _list_models(reply: Reply) -> None:
    reply.send({"object": "list", "data": [{"id": "writer"}, {"id": "other"}]})


class ChatServer:
    """Answers as ``script`` says, and notes what it was asked."""

    def __init__(self) -> None:
        self.script: Callable[[Reply], None] = Reply.good
        #: Answers a request for the list of models.
        self.listing: Callable[[Reply], None] = _list_models
        self.requests: list[dict[str, Any]] = []
        self.answered: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each request."""
        return [request["headers"]["idempotency-key"] for request in self.requests]

    def _handler(self) -> type[Reply]:
        server = self

        class Handler(Reply):
            def do_GET(self) -> None:
                server.listing(self)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                self.body = json.loads(content)
                text = self.body["messages"][-1]["content"]
                self.number = int(text.partition("Question number ")[2].partition(":")[0])
                server._answer(self)

        return Handler

    def _answer(self, reply: Reply) -> None:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        key = headers["idempotency-key"]
        with self._lock:
            self._attempts[key] += 1
            reply.attempt = self._attempts[key]
            self.requests.append(
                {
                    "headers": headers,
                    "body": reply.body,
                    "number": reply.number,
                    "path": reply.path,
                    "at": time.monotonic(),
                }
            )
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.script(reply)
            self.answered.append(key)
        finally:
            with self._lock:
                self._at_once -= 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key, no way round by a proxy, and short waits."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)


def make_items(
    count: int = 3, family: str = "math", benchmark: str = "sums", **ready: str
) -> pl.DataFrame:
    """Items whose instruction says their number; ``ready`` are responses that all of them have."""
    numbers = range(count)
    table = pl.DataFrame(
        {
            "instruction": [f"Question number {number}: what is {number}?" for number in numbers],
            "answer": [str(number) for number in numbers],
            "rationale": pl.Series([None] * count, dtype=pl.String),
            **{style: [text] * count for style, text in ready.items()},
        }
    )
    return build_items(table, benchmark, family, {(style, "correct"): style for style in ready})


@pytest.fixture
def configure(server: ChatServer) -> Callable[..., GeneratorConfig]:
    """A function from settings to a configuration that asks the scripted server."""

    def make(**settings: Any) -> GeneratorConfig:
        defaults = {
            "kind": "openai",
            "model": "writer",
            "base_url": server.url,
            "styles": ["detailed"],
            "timeout": 5,
            "attempts": 3,
        }
        return GeneratorConfig.model_validate(defaults | settings)

    return make


class Store(list[dict[str, Any]]):
    """Keeps rows as a store would, and notes each frame's height."""

    def __init__(self) -> None:
        super().__init__()
        self.heights: list[int] = []

    def keep(self, rows: pl.DataFrame) -> None:
        self.heights.append(rows.height)
        self.extend(rows.to_dicts())

    @property
    def keys(self) -> list[str]:
        return [row["key"] for row in self]


@pytest.fixture
def store() -> Store:
    return Store()
