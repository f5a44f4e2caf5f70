"""Good responses in the forms in which servers write them: what is stored of each."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gradpipe.generators.answers import GeneratedAnswer
from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.client import ChatClient
from gradpipe.generators.config import GeneratorConfig
from tests.generators.conftest import KEY

ANSWER, THOUGHT = "The answer is 4.", "Two and two."
Read = Callable[..., GeneratedAnswer]


@pytest.fixture
def reply() -> Callable[[str], GeneratedAnswer | FailedAttempt]:
    config = GeneratorConfig(kind="openai", model="m", base_url="http://127.0.0.1:9/v1")
    client = ChatClient(config)
    return lambda body: client.read(body, 1.0)


@pytest.fixture
def read(reply: Callable[[str], GeneratedAnswer | FailedAttempt]) -> Read:
    """A function from a message and the choice's and completion's other fields to the answer."""

    def answer(message: Any, choice: Any = None, **completion: Any) -> GeneratedAnswer:
        chosen = {"message": message, "finish_reason": "stop", **(choice or {})}
        found = reply(json.dumps({"choices": [chosen], **completion}))
        assert isinstance(found, GeneratedAnswer), found
        return found

    return answer


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"content": ANSWER}, None),
        ({"content": [{"type": "text", "text": ANSWER}]}, None),
        ({"content": ["The answer ", {"type": "output_text", "text": "is 4."}]}, None),
        ({"content": {"type": "text", "text": ANSWER}}, None),
        # Magistral.
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                    {"type": "text", "text": ANSWER},
                ]
            },
            THOUGHT,
        ),
        ({"content": [{"type": "thinking", "thinking": THOUGHT}, ANSWER]}, THOUGHT),
        # vLLM, SGLang, DeepSeek; OpenRouter, gpt-oss; Ollama.
        ({"content": ANSWER, "reasoning_content": THOUGHT}, THOUGHT),
        ({"content": ANSWER, "reasoning": THOUGHT}, THOUGHT),
        ({"content": ANSWER, "reasoning": THOUGHT, "reasoning_content": THOUGHT}, THOUGHT),
        ({"content": ANSWER, "thinking": THOUGHT}, THOUGHT),
        (
            {
                "content": ANSWER,
                "reasoning": None,
                "reasoning_details": [
                    {"type": "reasoning.summary", "summary": "Two and"},
                    {"type": "reasoning.encrypted", "data": "abc"},
                    {"type": "reasoning.text", "text": "two."},
                ],
            },
            "Two and\n\ntwo.",
        ),
        (
            {"content": ANSWER, "thinking_blocks": [{"type": "thinking", "thinking": THOUGHT}]},
            THOUGHT,
        ),
        # Without a parser.
        ({"content": f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"}, THOUGHT),
        ({"content": f"{THOUGHT}\n</think>\n\n{ANSWER}"}, THOUGHT),
        ({"content": f"[THINK]{THOUGHT}[/THINK]{ANSWER}"}, THOUGHT),
        ({"content": [{"type": "text", "text": f"<think>{THOUGHT}</think>{ANSWER}"}]}, THOUGHT),
        ({"content": f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}<|im_end|>"}, THOUGHT),
        ({"content": f"<think>\n\n</think>\n\n{ANSWER}"}, None),
    ],
)
def test_thinking_and_answer_are_kept_apart(
    read: Read, message: dict[str, Any], reasoning: str | None
) -> None:
    found = read(message)
    assert (found.text, found.reasoning) == (ANSWER, reasoning)


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_thinking_without_an_answer_is_an_answer_without_text(
    read: Read, content: str | None, finish: str
) -> None:
    choice = {"finish_reason": finish}
    found = read({"content": content, "reasoning_content": THOUGHT, "tool_calls": []}, choice)
    assert (found.text.strip(), found.reasoning, found.finish_reason) == ("", THOUGHT, finish)
    found = read({"reasoning": THOUGHT}, choice)
    assert (found.text, found.reasoning) == ("", THOUGHT)


def test_thinking_that_is_only_counted_is_not_paid_again(read: Read, reply: Any) -> None:
    usage = {"completion_tokens": 64, "completion_tokens_details": {"reasoning_tokens": 64}}
    found = read({"content": ""}, {"finish_reason": "length"}, usage=usage)
    assert (found.text, found.reasoning, found.reasoning_tokens) == ("", None, 64)
    choice = {"message": {"content": ""}, "finish_reason": "length"}
    failed = reply(json.dumps({"choices": [choice], "usage": {"completion_tokens": 64}}))
    assert "max_tokens" in failed.reason
    assert failed.billed
    assert not failed.transient


@pytest.mark.parametrize(
    ("text", "finish", "kept", "cut", "reason"),
    [
        (f"{ANSWER}<|im_end|>", "stop", ANSWER, "<|im_end|>", "stop"),
        # The model had finished, and the limit ended what it wrote after that.
        (f"{ANSWER}</s>\nuser\nAnd 5", "length", ANSWER, "</s>\nuser\nAnd 5", "stop"),
        (ANSWER[:9], "length", ANSWER[:9], None, "length"),
        (f"<think>{THOUGHT}<|im_end|>", "stop", "", "<|im_end|>", "stop"),
    ],
)
def test_a_stop_token_is_cut_and_kept_beside_the_text(
    read: Read, text: str, finish: str, kept: str, cut: str | None, reason: str
) -> None:
    found = read({"content": text}, {"finish_reason": finish})
    assert (found.text, found.cut, found.finish_reason) == (kept, cut, reason)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("other", "other"),
        ("", None),
        (None, None),
        (1, None),
        ({"type": "stop"}, None),
    ],
)
def test_finish_reasons_are_those_of_openai(read: Read, written: Any, kept: str | None) -> None:
    assert read({"content": ANSWER}, {"finish_reason": written}).finish_reason == kept


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 5, None, None)),
        ({"prompt_tokens": 10.0, "completion_tokens": "5"}, (10, 5, None, None)),
        ({"prompt_tokens": -1, "completion_tokens": "many"}, (None, None, None, None)),
        ({"prompt_tokens": True, "completion_tokens": 1e300}, (None, None, None, None)),
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, (None, None, 3, None)),
        ({"completion_tokens_details": None, "reasoning_tokens": 3}, (None, None, 3, None)),
        ({"cost": 0.00125}, (None, None, None, 0.00125)),
        ({"cost": {"total_cost": 0.5}}, (None, None, None, 0.5)),
        ({"cost": float("nan")}, (None, None, None, None)),
        (None, (None, None, None, None)),
        ("10 tokens", (None, None, None, None)),
    ],
)
def test_usage_is_read_whatever_its_types(read: Read, usage: Any, counts: tuple[Any, ...]) -> None:
    found = read({"content": ANSWER}, usage=usage)
    tokens = (found.prompt_tokens, found.response_tokens, found.reasoning_tokens)
    assert (*tokens, found.cost) == counts


def test_the_server_names_its_model_and_configuration(read: Read) -> None:
    found = read({"content": ANSWER}, model="m-2026", system_fingerprint="fp_1")
    assert (found.answered_by, found.fingerprint) == ("m-2026", "fp_1")
    found = read({"content": ANSWER}, model=7, system_fingerprint=None)
    assert (found.answered_by, found.fingerprint) == (None, None)
    found = read({"content": ANSWER}, model=f"m {KEY}", system_fingerprint="x" * 999)
    assert (found.answered_by, len(str(found.fingerprint))) == ("m [key]", 200)


def events(*chunks: Any, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end


def test_a_stream_that_nobody_asked_for_is_joined(reply: Any) -> None:
    deltas = [{"reasoning_content": "Two "}, {"reasoning_content": "and two."}]
    deltas += [{"role": "assistant", "content": "The "}, {"content": "answer is 4."}]
    chunks = [{"model": "m", "choices": [{"delta": delta}]} for delta in deltas]
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
    found = reply(": keep-alive\n\n" + events(*chunks, last, usage))
    assert (found.text, found.reasoning, found.finish_reason) == (ANSWER, THOUGHT, "stop")
    assert (found.prompt_tokens, found.response_tokens, found.answered_by) == (9, 5, "m")


def test_a_stream_that_broke_off_is_no_answer(reply: Any) -> None:
    chunk = {"choices": [{"delta": {"content": "The ans"}}]}
    assert "broke off" in reply(events(chunk, end="")).reason
    failed = reply(events(chunk, {"error": {"message": "no memory", "code": 500}}))
    assert "no memory" in failed.reason
    assert failed.transient


def test_an_older_completion_is_read(reply: Any) -> None:
    body = {"object": "text_completion", "choices": [{"text": ANSWER, "finish_reason": "stop"}]}
    assert reply(json.dumps(body)).text == ANSWER


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('"a\\ud800b"', "a\ufffdb"),
        ('"\\ud83d\\ude00 4"', "\U0001f600 4"),
        ('"a\\u0000b"', "a\x00b"),
    ],
)
def test_halves_of_characters_are_replaced(reply: Any, written: str, kept: str) -> None:
    assert reply(f'{{"choices": [{{"message": {{"content": {written}}}}}]}}').text == kept


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, '{"choices": [' * 2000, "1e999", '{"choices": {"0": 1}}', "\ufeff{}", "\x00"],
)
def test_a_body_of_nonsense_is_a_failed_attempt(reply: Any, body: str) -> None:
    assert isinstance(reply(body), FailedAttempt)
