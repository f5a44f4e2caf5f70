"""A server that behaves, and one that does not: what is kept, what is named, what is sent."""

import json
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import polars as pl
import pytest

from gradpipe.errors import GradpipeError
from gradpipe.generators import generate as generating
from gradpipe.generators.calls import CALL_SCHEMA, plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import GenerationProgress, generate
from tests.generators.conftest import KEY, ChatServer, Reply, Store, make_items

Configure = Callable[..., GeneratorConfig]


def numbers(plan: pl.DataFrame) -> dict[str, int]:
    """The question's number of each key."""
    return {key: number for number, key in enumerate(plan["key"])}


def test_every_answer_is_kept_as_it_arrives(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(concurrency=2, max_tokens=9, temperature=0.5, seed=3)
    calls = plan_calls(make_items(5), config)
    seen: list[GenerationProgress] = []
    frames: list[pl.DataFrame] = []
    summary = generate(
        calls, config, lambda rows: (store.keep(rows), frames.append(rows))[0], seen.append
    )
    assert (summary.kept, summary.left, summary.failed, summary.stopped) == (5, 0, {}, None)
    assert store.heights == [1] * 5
    assert {frame.schema == CALL_SCHEMA for frame in frames} == {True}
    assert sorted(store.keys) == sorted(calls["key"])
    assert [progress.kept for progress in seen] == [1, 2, 3, 4, 5]
    done = seen[-1]
    assert (done.requests, done.prompt_tokens, done.response_tokens) == (5, 250, 50)
    for row in store:
        assert row["text"] == f"Because.\nThe final answer is {numbers(calls)[row['key']]}"
        assert (row["finish_reason"], row["error"], row["style"]) == ("stop", None, "detailed")
        assert 0 < row["seconds"] < 5
        assert abs(row["created"].timestamp() - time.time()) < 60
    assert "5 of 5 responses written in 5 requests" in summary.sentence()


def test_an_answer_costs_its_tokens_at_the_price_of_the_study(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(price={"prompt": 2.0, "response": 10.0})
    summary = generate(plan_calls(make_items(3), config), config, store.keep)
    each = 50 * 2.0 / 1e6 + 10 * 10.0 / 1e6
    assert [row["cost"] for row in store] == pytest.approx([each] * 3)
    assert summary.progress.cost == pytest.approx(3 * each)
    free = configure()
    summary = generate(plan_calls(make_items(3), free), free, store.keep)
    assert store[-1]["cost"] is None
    assert summary.progress.cost is None


def test_cut_stop_tokens_are_counted_and_said(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = lambda reply: reply.good("Yes.<|im_end|>" if reply.number else "No.")
    summary = generate(plan_calls(make_items(3), configure()), configure(), store.keep)
    assert (
        sorted((row["text"], row["cut"]) for row in store if row["cut"])
        == [("Yes.", "<|im_end|>")] * 2
    )
    assert "in 2 responses a stop token was cut" in summary.sentence()


def test_settings_of_a_call_go_before_those_of_the_study(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(seed=3)
    own = {"seed": 8, "limit_field": "max_completion_tokens", "request": {"top_k": 5}}
    calls = plan_calls(make_items(1), config).with_columns(settings=pl.lit(json.dumps(own)))
    generate(calls, config, store.keep)
    body = server.requests[0]["body"]
    assert (body["seed"], body["top_k"], body["max_completion_tokens"]) == (8, 5, 2048)
    assert "max_tokens" not in body


def test_a_request_says_what_the_settings_say(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(max_tokens=9, temperature=0.5, seed=3)
    generate(plan_calls(make_items(1), config), config, store.keep)
    [request] = server.requests
    assert request["path"] == "/v1/chat/completions"
    body = request["body"]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("writer", 9, 0.5)
    assert body["seed"] == 3
    assert request["headers"]["idempotency-key"] == store.keys[0]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_twins_are_sent_once(server: ChatServer, configure: Configure, store: Store) -> None:
    calls = plan_calls(make_items(2), configure())
    summary = generate(calls.vstack(calls), configure(), store.keep)
    assert (len(server.requests), summary.calls, len(store)) == (2, 2, 2)


def test_no_calls_reach_no_server(configure: Configure, store: Store) -> None:
    config = configure(base_url="http://127.0.0.1:9/v1")
    summary = generate(plan_calls(make_items(2).clear(), config), config, store.keep)
    assert (summary.calls, summary.sentence()[:6]) == (0, "0 of 0")


def nothing_at_all(reply: Reply) -> None:
    reply.send("")


def html(reply: Reply) -> None:
    reply.send("<html><body>Welcome</body></html>", kind="text/html")


def no_json(reply: Reply) -> None:
    reply.send('{"choices": [')


#: What a server may do wrong, and what the reason says; all of these are tried again.
PASSING: list[tuple[Callable[[Reply], None], str]] = [
    (lambda reply: reply.send({"error": {"message": "slow down"}}, 429), "429: slow down"),
    (lambda reply: reply.send({"error": {"message": "oh no"}}, 500), "500: oh no"),
    (lambda reply: reply.send("<h1>Bad gateway</h1>", 502, "text/html"), "answered 502"),
    (lambda reply: reply.send("", 503), "answered 503"),
    (lambda reply: reply.send({"detail": "wait"}, 408), "408"),
    (lambda reply: reply.send({}, 409), "409"),
    (Reply.half, "broke off"),
    (Reply.nothing, "broke off"),
    (nothing_at_all, "answer is empty"),
    (html, "HTML"),
    (no_json, "instead of JSON"),
    (lambda reply: reply.send({}), "not a chat completion"),
    (lambda reply: reply.send([]), "not a chat completion"),
    (lambda reply: reply.send("null"), "not a chat completion"),
    (lambda reply: reply.send({"choices": []}), "no choices"),
    (lambda reply: reply.good(choices=[{}]), "not a chat completion"),
    (lambda reply: reply.good(choices="all of them"), "not a chat completion"),
    (lambda reply: reply.good(choices=[{"message": {"content": 7}}]), "not a chat completion"),
]


@pytest.mark.parametrize(("fault", "reason"), PASSING)
def test_a_fault_that_passes_is_tried_again(
    server: ChatServer,
    configure: Configure,
    store: Store,
    fault: Callable[[Reply], None],
    reason: str,
) -> None:
    def script(reply: Reply) -> None:
        # The first call meets it once, the second always, the others never.
        bad = (reply.number == 0 and reply.attempt == 1) or reply.number == 1
        fault(reply) if bad else reply.good()

    server.script = script
    config = configure()
    calls = plan_calls(make_items(4), config)
    summary = generate(calls, config, store.keep)
    [(key, why)] = summary.failed.items()
    assert numbers(calls)[key] == 1
    assert reason in why
    assert why.endswith("(after 3 attempts)")
    assert sorted(numbers(calls)[key] for key in store.keys) == [0, 2, 3]
    assert sorted(request["number"] for request in server.requests) == [0, 0, 1, 1, 1, 2, 3]


def refused(message: dict[str, Any]) -> Callable[[Reply], None]:
    return lambda reply: reply.send({"error": message}, 400)


def empty_at_its_limit(reply: Reply) -> None:
    choice = {"message": {"content": " \n"}, "finish_reason": "length"}
    reply.good(choices=[choice])


def filtered(reply: Reply) -> None:
    choice = {"message": {"content": "I wo"}, "finish_reason": "content_filter"}
    reply.good(choices=[choice])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refused({"message": "too long"}), "400: too long"),
        (lambda reply: reply.send({"detail": "Unexpected fields"}, 422), "422: Unexpected fields"),
        (lambda reply: reply.good(""), "the response is empty (finish reason stop)"),
        (empty_at_its_limit, "raise the generator's max_tokens"),
        (lambda reply: reply.good(choices=[{"message": {"content": None}}]), "is empty"),
        (filtered, "content filter"),
    ],
)
def test_a_fault_that_stays_is_not_tried_again(
    server: ChatServer,
    configure: Configure,
    store: Store,
    fault: Callable[[Reply], None],
    reason: str,
) -> None:
    server.script = lambda reply: fault(reply) if reply.number == 1 else reply.good()
    config = configure()
    summary = generate(plan_calls(make_items(3), config), config, store.keep)
    assert reason in next(iter(summary.failed.values()))
    assert (len(server.requests), summary.kept, summary.left) == (3, 2, 0)


def test_a_run_with_every_fault_keeps_every_good_row_and_names_every_bad_one(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    def script(reply: Reply) -> None:
        PASSING[reply.number // 2][0](reply) if reply.number % 2 else reply.good()

    server.script = script
    config = configure(attempts=2)
    calls = plan_calls(make_items(2 * len(PASSING)), config)
    summary = generate(calls, config, store.keep)
    assert {numbers(calls)[key] % 2 for key in store.keys} == {0}
    assert {numbers(calls)[key] % 2 for key in summary.failed} == {1}
    assert (summary.kept, len(summary.failed), summary.left) == (len(PASSING), len(PASSING), 0)
    assert f"{len(PASSING)} failed" in summary.sentence()


def test_a_server_that_does_not_answer_is_given_up(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = lambda reply: time.sleep(1.2) if reply.number == 0 else reply.good()
    config = configure(timeout=0.3, attempts=2)
    summary = generate(plan_calls(make_items(2), config), config, store.keep)
    assert list(summary.failed.values()) == [
        "the server did not answer within 0.3 s (after 2 attempts)"
    ]
    assert summary.kept == 1


def test_a_body_that_trickles_is_given_up(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    given_up = threading.Event()
    sent: list[int] = []

    def trickle(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header("Content-Length", "10000")
        reply.end_headers()
        while not given_up.wait(0.1) and len(sent) < 3000:
            sent.append(reply.wfile.write(b" "))
            reply.wfile.flush()
        reply.nothing()

    server.script = trickle
    config = configure(timeout=0.4, attempts=1)
    summary = generate(plan_calls(make_items(1), config), config, store.keep)
    given_up.set()
    assert "within 0.4 s" in next(iter(summary.failed.values()))
    assert len(sent) < 3000


def test_where_nobody_listens_every_call_is_named(configure: Configure, store: Store) -> None:
    config = configure(base_url="http://127.0.0.1:9/v1", attempts=2)
    summary = generate(plan_calls(make_items(2), config), config, store.keep)
    assert len(summary.failed) == 2
    assert "connection failed" in next(iter(summary.failed.values()))


@pytest.mark.parametrize("asked", [lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_a_server_that_asks_to_wait_is_waited_for(
    server: ChatServer, configure: Configure, store: Store, asked: Callable[[], str]
) -> None:
    def script(reply: Reply) -> None:
        reply.send({}, 429, Retry_After=asked()) if reply.attempt == 1 else reply.good()

    server.script = script
    config = configure()
    generate(plan_calls(make_items(1), config), config, store.keep)
    first, second = (request["at"] for request in server.requests)
    assert 0.95 <= second - first < 2.6
    assert len(store) == 1


def test_no_more_calls_are_in_flight_than_allowed(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = lambda reply: (time.sleep(0.05), reply.good())[0]
    config = configure(concurrency=3)
    generate(plan_calls(make_items(12), config), config, store.keep)
    assert server.most_at_once == 3
    assert len(store) == 12


def test_a_slow_store_holds_the_sending_back(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    ahead: list[int] = []

    def keep(rows: pl.DataFrame) -> None:
        time.sleep(0.03)
        ahead.append(len(server.requests) - len(store))
        store.keep(rows)

    config = configure(concurrency=2)
    generate(plan_calls(make_items(10), config), config, keep)
    assert max(ahead) <= 2
    assert len(store) == 10


def test_a_budget_of_requests_ends_a_run_cleanly(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(budget={"requests": 3}, concurrency=2)
    calls = plan_calls(make_items(8), config)
    summary = generate(calls, config, store.keep)
    assert (len(server.requests), summary.kept, summary.left) == (3, 3, 5)
    assert "3 requests" in str(summary.stopped)
    assert "3 requests" in summary.sentence()
    missing = calls.filter(~pl.col("key").is_in(store.keys))
    generate(missing, configure(), store.keep)
    assert sorted(store.keys) == sorted(calls["key"])
    assert len(server.requests) == 8


def test_attempts_count_against_the_budget_and_what_it_cut_off_has_not_failed(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = lambda reply: reply.send({}, 500)
    config = configure(budget={"requests": 2}, attempts=5, concurrency=1)
    summary = generate(plan_calls(make_items(3), config), config, store.keep)
    assert (len(server.requests), summary.failed, summary.left) == (2, {}, 3)


def test_a_budget_that_is_just_enough_stops_nothing(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(budget={"requests": 4})
    summary = generate(plan_calls(make_items(4), config), config, store.keep)
    assert (summary.kept, summary.stopped) == (4, None)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_budget_of_tokens_is_never_overdrawn(
    server: ChatServer, configure: Configure, store: Store, concurrency: int
) -> None:
    usage = {"prompt_tokens": 300, "completion_tokens": 100}
    server.script = lambda reply: reply.good(usage=usage)
    config = configure(budget={"tokens": 1700}, max_tokens=100, concurrency=concurrency)
    summary = generate(plan_calls(make_items(10), config), config, store.keep)
    spent = summary.progress.prompt_tokens + summary.progress.response_tokens
    # Whatever is left over is too little for another call with its prompt of about 400 tokens.
    assert 1000 < spent <= 1700
    assert spent == 400 * len(server.requests)
    assert "1700 tokens" in str(summary.stopped)
    assert summary.left == 10 - summary.kept


def test_answers_without_usage_are_kept_and_count_at_their_most(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = lambda reply: reply.good(usage={"prompt_tokens": "many"})
    config = configure(budget={"tokens": 2000}, max_tokens=500, concurrency=1)
    summary = generate(plan_calls(make_items(10), config), config, store.keep)
    assert 1 <= summary.kept <= 2
    assert store[0]["prompt_tokens"] is None
    assert summary.left > 0


def refusing(status: int, **error: str) -> Callable[[Reply], None]:
    return lambda reply: reply.send({"error": {"message": "no", **error}}, status)


@pytest.mark.parametrize(
    ("refusal", "cure"),
    [
        (refusing(401), "OPENAI_API_KEY"),
        (refusing(403), "OPENAI_API_KEY"),
        (refusing(404), "'writer'"),
        (refusing(402), "credit"),
        (refusing(429, code="insufficient_quota"), "credit"),
    ],
)
def test_what_every_call_would_meet_stops_at_once(
    server: ChatServer,
    configure: Configure,
    store: Store,
    refusal: Callable[[Reply], None],
    cure: str,
) -> None:
    server.script = refusal
    config = configure(concurrency=4)
    with pytest.raises(GradpipeError, match="refuses every call") as caught:
        generate(plan_calls(make_items(30), config), config, store.keep)
    assert cure in str(caught.value)
    assert len(server.requests) <= 4
    assert len(store) == 0


def test_what_is_in_flight_when_a_key_is_refused_is_kept(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    def script(reply: Reply) -> None:
        if reply.number == 0:
            reply.send({"error": {"message": "expired"}}, 401)
        else:
            time.sleep(0.3)
            reply.good()

    server.script = script
    config = configure(concurrency=4)
    with pytest.raises(GradpipeError, match="expired"):
        generate(plan_calls(make_items(30), config), config, store.keep)
    assert len(server.requests) == 4
    assert len(store) == 3


def test_a_server_that_only_fails_is_left_alone(
    server: ChatServer, configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generating, "FAILURES_IN_A_ROW", 5)
    server.script = refused({"message": "no such field"})
    config = configure(concurrency=2)
    summary = generate(plan_calls(make_items(40), config), config, store.keep)
    assert "calls in a row failed" in str(summary.stopped)
    assert "no such field" in str(summary.stopped)
    assert 5 <= len(summary.failed) <= 8
    assert summary.left == 40 - len(summary.failed)


def test_a_good_answer_now_and_then_keeps_a_run_going(
    server: ChatServer, configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generating, "FAILURES_IN_A_ROW", 5)
    fault = refused({"message": "no"})
    server.script = lambda reply: reply.good() if reply.number % 4 == 0 else fault(reply)
    config = configure(concurrency=1)
    summary = generate(plan_calls(make_items(24), config), config, store.keep)
    assert (summary.kept, len(summary.failed), summary.stopped) == (6, 18, None)


def test_a_store_that_fails_ends_the_run_and_keeps_what_is_in_flight(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    troubles = [OSError("the disk is full")]

    def keep(rows: pl.DataFrame) -> None:
        if len(store) == 2 and troubles:
            raise troubles.pop()
        store.keep(rows)

    server.script = lambda reply: (time.sleep(0.05), reply.good())[0]
    config = configure(concurrency=3)
    with pytest.raises(OSError, match="the disk is full"):
        generate(plan_calls(make_items(30), config), config, keep)
    assert len(server.requests) <= 6
    assert sorted(store.keys) == sorted(server.keys)


def test_a_store_that_stays_full_ends_the_run_all_the_same(
    server: ChatServer, configure: Configure
) -> None:
    def keep(rows: pl.DataFrame) -> None:
        raise OSError("the disk is full")

    config = configure(concurrency=3)
    with pytest.raises(OSError, match="the disk is full"):
        generate(plan_calls(make_items(30), config), config, keep)
    assert len(server.requests) <= 3


def test_a_run_leaves_no_thread_behind(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    generate(plan_calls(make_items(2), configure()), configure(), store.keep)
    assert not any("portal" in thread.name for thread in threading.enumerate())


def test_a_run_works_where_an_event_loop_runs_already(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    import asyncio

    async def notebook() -> None:
        generate(plan_calls(make_items(2), configure()), configure(), store.keep)

    asyncio.run(notebook())
    assert len(store) == 2


def test_a_missing_package_is_named_with_its_extra(
    configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = plan_calls(make_items(1), configure())
    monkeypatch.delitem(sys.modules, "gradpipe.generators.exchange", raising=False)
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(GradpipeError, match=r"tenacity.*gradpipe\[generate\]"):
        generate(calls, configure(), store.keep)


def test_the_source_is_asked_for_nothing(configure: Configure, store: Store) -> None:
    calls = plan_calls(make_items(1), configure())
    with pytest.raises(GradpipeError, match="'source' writes nothing"):
        generate(calls, GeneratorConfig(), store.keep)


def test_openais_own_server_is_told_the_limit_by_its_newer_name(
    server: ChatServer, configure: Configure
) -> None:
    from gradpipe.generators.client import ChatClient

    assert ChatClient(configure())._limit == "max_tokens"
    assert ChatClient(configure(base_url=None))._limit == "max_completion_tokens"


PLAIN = "The answer is 4."


def message(**fields: Any) -> Callable[[Reply], None]:
    choice = {"message": {"content": PLAIN, **fields}, "finish_reason": "stop"}
    return lambda reply: reply.good(choices=[choice])


@pytest.mark.parametrize(
    ("script", "reasoning"),
    [
        (message(), None),
        (message(reasoning_content="Two."), "Two."),
        (message(reasoning="Two.", reasoning_details=[]), "Two."),
        (message(thinking="Two."), "Two."),
        (message(reasoning_content=None, reasoning={"effort": 1}), None),
        (message(content=f"<think>\nTwo.\n</think>\n\n{PLAIN}"), "Two."),
        (message(content=f"Two.\n</think>\n\n{PLAIN}"), "Two."),
        (
            message(
                content="<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>"
                f"final<|message|>{PLAIN}<|return|>"
            ),
            "Two.",
        ),
    ],
)
def test_the_thinking_is_kept_beside_the_answer(
    server: ChatServer,
    configure: Configure,
    store: Store,
    script: Callable[[Reply], None],
    reasoning: str | None,
) -> None:
    server.script = script
    config = configure()
    generate(plan_calls(make_items(1), config), config, store.keep)
    assert [(row["text"], row["reasoning"]) for row in store] == [(PLAIN, reasoning)]


def test_thinking_that_reached_the_limit_is_kept_and_not_paid_again(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    choice = {"message": {"content": None, "reasoning": "Two and"}, "finish_reason": "length"}
    server.script = lambda reply: reply.good(choices=[choice])
    config = configure()
    summary = generate(plan_calls(make_items(1), config), config, store.keep)
    assert (summary.kept, summary.failed) == (1, {})
    assert [(row["text"], row["reasoning"], row["finish_reason"]) for row in store] == [
        ("", "Two and", "length")
    ]


def test_only_thinking_is_asked_for_with_the_fields_that_switch_it_on(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    config = configure(styles=["detailed", "thinking", "answer_only"])
    generate(plan_calls(make_items(1), config), config, store.keep)
    bodies = [request["body"] for request in server.requests]
    assert sorted("chat_template_kwargs" in body for body in bodies) == [False, True]
    [asked] = [body for body in bodies if "chat_template_kwargs" in body]
    assert asked["chat_template_kwargs"] == {"enable_thinking": True}
    assert [message["role"] for message in asked["messages"]] == ["user"]
    config = configure(styles=["thinking"], thinking_request={"reasoning_effort": "high"})
    generate(plan_calls(make_items(1), config), config, store.keep)
    assert server.requests[-1]["body"]["reasoning_effort"] == "high"
    assert "chat_template_kwargs" not in server.requests[-1]["body"]


def test_a_key_that_is_repeated_in_the_thinking_is_not_stored(
    server: ChatServer, configure: Configure, store: Store
) -> None:
    server.script = message(reasoning=f"The key is {KEY}.")
    config = configure()
    assert generate(plan_calls(make_items(1), config), config, store.keep).kept == 0
    assert store == []
