"""Every server's errors in its own words: what each one means, and how many requests it costs.

One call is asked for, with at most three attempts. A call that is refused for good costs one
request, one that may work is tried three times, and one that every call would meet ends the run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from gradpipe.errors import GradpipeError
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.error_details import read_error_detail
from gradpipe.generators.generate import GenerationSummary, generate
from tests.generators.conftest import ChatServer, Reply, Store, make_items

Configure = Callable[..., GeneratorConfig]
NAMED, RETRIED = 1, 3


class Case(NamedTuple):
    """A server's error: the status and body of its answer, the requests, words of the message."""

    status: int
    body: Any
    requests: int
    words: str


#: Errors that fail one call.
FAILURES = {
    # The context is too short: the row is named.
    "vllm, older": Case(
        400,
        {"object": "error", "message": "This model's maximum context length is 2 tokens."},
        NAMED,
        "maximum context length is 2",
    ),
    "vllm": Case(
        400,
        {"error": {"message": "This model's maximum context length is 2 tokens.", "code": 400}},
        NAMED,
        "exceed the model's context",
    ),
    "vllm, input": Case(
        400,
        {
            "error": {
                "message": "The decoder prompt (length 9) is longer than the maximum model "
                "length of 4."
            }
        },
        NAMED,
        "exceed the model's context",
    ),
    "openai": Case(
        400,
        {"error": {"message": "Too long.", "code": "context_length_exceeded"}},
        NAMED,
        "exceed the model's context",
    ),
    "llama.cpp": Case(
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        },
        NAMED,
        "exceed the model's context",
    ),
    "llama.cpp, older": Case(
        500, {"error": {"code": 500, "message": "context size exceeded"}}, NAMED, "context size"
    ),
    "tgi": Case(
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048.",
            "error_type": "validation",
        },
        NAMED,
        "exceed the model's context",
    ),
    "ollama": Case(
        400,
        {"error": {"message": "input length exceeds the context length", "type": "api_error"}},
        NAMED,
        "exceed the model's context",
    ),
    "lm studio, context": Case(
        200,
        {
            "error": "Trying to keep the first 9 tokens when context the overflows: the context "
            "length is 4"
        },
        NAMED,
        "context length is 4",
    ),
    "fastchat, context": Case(
        200, {"object": "error", "message": "Too long.", "code": 40303}, NAMED, "Too long"
    ),
    # The request is wrong.
    "fastapi": Case(
        422,
        {"detail": [{"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required"}]},
        NAMED,
        "422: messages.0: Field required",
    ),
    "not built": Case(501, {"error": {"message": "not implemented"}}, NAMED, "not implemented"),
    # Failures that may pass.
    "openrouter, rate": Case(
        200, {"error": {"message": "Rate limit exceeded", "code": 429}}, RETRIED, "error 429: Rate"
    ),
    "fastchat, rate": Case(
        200, {"object": "error", "message": "Slow down.", "code": 42901}, RETRIED, "429: Slow down"
    ),
    "fastchat, traffic": Case(
        200, {"object": "error", "message": "HIGH TRAFFIC", "code": 50004}, RETRIED, "HIGH TRAFFIC"
    ),
    "provider": Case(
        502,
        {
            "error": {
                "message": "Provider returned error",
                "code": 502,
                "metadata": {"raw": '{"error": {"message": "no GPU left"}}'},
            }
        },
        RETRIED,
        "no GPU left",
    ),
    "null choices": Case(
        200, {"choices": None, "message": "CUDA out of memory"}, RETRIED, "CUDA out of memory"
    ),
    "choice": Case(
        200,
        {
            "choices": [
                {
                    "error": {"code": 502, "message": "Upstream idle"},
                    "finish_reason": "error",
                    "message": {"content": ""},
                }
            ]
        },
        RETRIED,
        "502: Upstream idle",
    ),
    "finish": Case(
        200,
        {"choices": [{"message": {"content": "4 is"}, "finish_reason": "error"}]},
        RETRIED,
        "ended the response with an error",
    ),
    "gateway": Case(524, "<html>timeout</html>", RETRIED, "524 with a page in HTML"),
    "tgi, busy": Case(
        429, {"error": "Model is overloaded", "error_type": "overloaded"}, RETRIED, "overloaded"
    ),
    "gemini, per minute": Case(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota. Please retry in 0.01s.",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
        RETRIED,
        "current quota",
    ),
    # Paid, and without an answer.
    "tool": Case(
        200,
        {
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "1",
                                "type": "function",
                                "function": {"name": "python", "arguments": "{}"},
                            }
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ]
        },
        NAMED,
        "called the tool 'python'",
    ),
    "refusal": Case(
        200,
        {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]},
        NAMED,
        "content filter",
    ),
}
FAILURES["stream"] = Case(
    200, 'data: {"choices": [{"delta": {"content": "4 i"}}]}\n\n', RETRIED, "broke off"
)

#: Errors that every call would meet: they end the run after one request.
REFUSALS = {
    "key": Case(401, {"error": {"message": "no"}}, 1, "OPENAI_API_KEY"),
    "fastchat, key": Case(200, {"object": "error", "message": "no", "code": 40102}, 1, "API_KEY"),
    "credit": Case(402, {"error": {"message": "Insufficient Balance"}}, 1, "credit"),
    "openrouter, credit": Case(
        200, {"error": {"message": "Insufficient credits", "code": 402}}, 1, "credit"
    ),
    "quota": Case(
        429,
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        1,
        "credit",
    ),
    "page": Case(403, "<html>Forbidden</html>", 1, "403 with a page in HTML"),
    "ollama, model": Case(
        404, {"error": {"message": 'model "m" not found, try pulling it first'}}, 1, "'writer'"
    ),
    "vllm, model": Case(
        404, {"object": "error", "message": "The model `m` does not exist."}, 1, "'writer'"
    ),
    "openrouter, model": Case(
        400, {"error": {"message": "m is not a valid model ID", "code": 400}}, 1, "'writer'"
    ),
    "transformers, model": Case(
        400, {"detail": "Server is pinned to 'a'; requested 'b'."}, 1, "'writer'"
    ),
    "path in plain text": Case(404, "404 page not found", 1, "/v1"),
    "path in html": Case(404, "<html>Not Found</html>", 1, "/v1"),
    "fastapi, path": Case(404, {"detail": "Not Found"}, 1, "/v1"),
    "method": Case(405, {"detail": "Method Not Allowed"}, 1, "/v1"),
    "lm studio, path": Case(
        200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, 1, "/v1"
    ),
    "temperature": Case(
        400,
        {
            "error": {
                "message": "Unsupported value: 'temperature' does not support 0.0 with this model.",
                "param": "temperature",
                "code": "unsupported_value",
            }
        },
        1,
        "`temperature: 1`",
    ),
}


def answering(case: Case) -> Callable[[Reply], None]:
    kind = "text/html" if isinstance(case.body, str) else "application/json"
    return lambda reply: reply.send(case.body, case.status, kind)


def ask(configure: Configure, store: Store, count: int = 1, **settings: Any) -> GenerationSummary:
    config = configure(**settings)
    return generate(plan_calls(make_items(count), config), config, store.keep)


@pytest.mark.parametrize("name", FAILURES)
def test_a_call_that_fails_says_why(
    name: str, server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = answering(FAILURES[name])
    summary = ask(configure, store)
    [reason] = summary.failed.values()
    assert FAILURES[name].words in reason
    assert len(server.requests) == summary.progress.requests == FAILURES[name].requests


@pytest.mark.parametrize("name", REFUSALS)
def test_a_run_that_cannot_succeed_ends_at_once(
    name: str, server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = answering(REFUSALS[name])
    with pytest.raises(GradpipeError, match="refuses every call") as caught:
        ask(configure, store, count=3, concurrency=1)
    assert REFUSALS[name].words in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "loading",
    [
        Case(503, {"error": {"code": 503, "message": "Loading model"}}, 0, "llama.cpp"),
        Case(503, {"error": "Model is warming up"}, 0, "TGI"),
        Case(503, {"error": "Model m is currently loading", "estimated_time": 0.01}, 0, "hub"),
        Case(500, {"error": {"message": "llm server loading model"}}, 0, "Ollama"),
        Case(200, {"error": "Model is still loading."}, 0, "LM Studio"),
    ],
    ids=lambda case: case.words,
)
def test_a_model_that_loads_is_waited_for_and_counts_as_no_attempt(
    loading: Case, server: ChatServer, configure: Configure, store: Store
) -> None:
    fail = answering(loading)
    server.script = lambda reply: fail(reply) if reply.attempt <= 4 else reply.good()
    summary = ask(configure, store, attempts=1)
    assert (summary.kept, len(server.requests)) == (1, 5)


def test_a_model_that_loads_for_longer_than_an_answer_may_take_ends_the_run(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = answering(Case(503, {"error": {"message": "Loading model"}}, 0, ""))
    with pytest.raises(GradpipeError, match=r"Loading model, for 0.5 s.*`timeout`"):
        ask(configure, store, count=3, timeout=0.5)


def test_a_model_that_failed_to_load_is_not_waited_for(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = answering(Case(500, {"error": "error loading model: no memory"}, 0, ""))
    ask(configure, store)
    assert len(server.requests) == RETRIED


@pytest.mark.parametrize(
    "limited",
    [
        Case(200, {"error": {"message": "Rate limit. Try again in 0.6s", "code": 429}}, 0, ""),
        Case(429, {"error": {"message": "Please try again in 600ms."}}, 0, ""),
    ],
)
def test_a_rate_limit_is_waited_for_as_its_words_say(
    limited: Case, server: ChatServer, configure: Configure, store: Store
) -> None:
    fail = answering(limited)
    server.script = lambda reply: fail(reply) if reply.attempt == 1 else reply.good()
    ask(configure, store)
    first, second = (request["at"] for request in server.requests)
    assert second - first > 0.55
    assert len(store) == 1


def test_a_server_that_wants_the_newer_name_of_the_limit_gets_it(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."

    def script(reply: Reply) -> None:
        if "max_tokens" in reply.body:
            reply.send({"error": {"message": message, "param": "max_tokens"}}, 400)
        else:
            reply.good()

    server.script = script
    summary = ask(configure, store, count=3, attempts=1, concurrency=1)
    assert (summary.kept, summary.failed) == (3, {})
    # The server is asked by the older name once.
    assert ["max_tokens" in request["body"] for request in server.requests] == [True] + [False] * 3


def test_a_server_that_refuses_every_name_of_the_limit_is_not_asked_again(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    message = "Unsupported parameter: 'max_tokens' or 'max_completion_tokens'."
    server.script = answering(Case(400, {"error": {"message": message}}, 0, ""))
    assert len(ask(configure, store).failed) == 1
    assert len(server.requests) == 2


def test_a_model_with_one_temperature_is_sent_none(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    def script(reply: Reply) -> None:
        message = "Unsupported parameter: 'temperature' is not supported with this model."
        if "temperature" in reply.body:
            reply.send({"error": {"message": message, "param": "temperature"}}, 400)
        else:
            reply.good()

    server.script = script
    summary = ask(configure, store, temperature=1, attempts=1)
    assert (summary.kept, len(server.requests)) == (1, 2)


def test_a_connection_that_the_server_closed_while_idle_costs_nothing(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    asked: set[Any] = set()

    def script(reply: Reply) -> None:
        # The second request of a connection is not answered, as if it crossed the closing.
        if reply.client_address in asked:
            reply.nothing()
        else:
            asked.add(reply.client_address)
            reply.good()

    server.script = script
    config = {"attempts": 1, "concurrency": 1, "budget": {"tokens": 3000}, "max_tokens": 100}
    summary = ask(configure, store, count=3, **config)
    assert (summary.kept, summary.failed) == (3, {})
    assert len(server.requests) == 5


def test_a_redirect_that_keeps_the_request_is_followed_and_another_one_named(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    def script(reply: Reply) -> None:
        status = 307 if reply.number == 0 else 302
        moved = reply.path.startswith("/v1")
        place = "/v2/chat/completions"
        reply.send("", status, Location=place) if moved else reply.good()

    server.script = script
    assert ask(configure, store).kept == 1
    assert [request["path"][:3] for request in server.requests] == ["/v1", "/v2"]
    server.script = lambda reply: reply.send("", 302, Location="/v2/chat/completions?key=1")
    with pytest.raises(GradpipeError, match=r"redirects to \S+/v2/chat/completions\).*`base_url`"):
        ask(configure, store)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ({"detail": {"error": {"message": "a"}}}, "a"),
        ({"message": "a", "object": "error"}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ({"errors": [{"message": "a"}, "b"]}, "a; b"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "extra"}, {"msg": "b"}]}, "seed: extra; b"),
        ({"error": {"message": '{"error": {"message": "a"}}'}}, "a"),
        ("plain", "plain"),
        ("<html>page</html>", ""),
        ({"error": {}}, ""),
        ({}, ""),
        (None, ""),
        ({"error": {"error": {"error": {"error": {"error": {"error": "deep"}}}}}}, ""),
    ],
)
def test_the_words_of_an_error_are_found(body: Any, message: str) -> None:
    assert read_error_detail(body).message == message
