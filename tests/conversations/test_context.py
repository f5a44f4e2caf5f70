"""An example is its pair of texts and what precedes them: both together make it again."""

import json
from typing import Any

import pytest

from gradpipe.conversations.context import context_of, example_of, is_unusable, pair_of
from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TokenIds,
    Unusable,
)

USER, OTHER = {"role": "user", "content": "How many?"}, {"role": "user", "content": "And now?"}
SYSTEM = {"role": "system", "content": "Be short."}
ANSWER, LAST = {"role": "assistant", "content": "Two."}, {"role": "assistant", "content": "Three."}
TOOL = {"type": "function", "function": {"name": "count", "parameters": {}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "count"}}]}
RESULT = {"role": "tool", "content": "3"}


@pytest.mark.parametrize(
    "example",
    [
        Pair("How many?", "Two."),
        Pair("How many? ", "Two.", joined=True),
        PlainText("How many? Two.", 10),
        PlainText("Two."),
        Conversation((SYSTEM, USER, ANSWER)),
        Conversation((USER, ANSWER, OTHER, LAST)),
        Conversation((USER, ANSWER, OTHER, LAST), prompt_messages=1),
        Conversation((USER, CALL, RESULT, LAST), tools=(TOOL,)),
        Conversation((USER, LAST), template_settings={"enable_thinking": False}),
        Conversation((SYSTEM, LAST)),
        Conversation((USER, {"role": "model", "content": "Two."})),
        Unusable("the response is empty"),
    ],
)
def test_an_example_is_made_again_from_its_texts_and_context(example: Example) -> None:
    assert example_of(*pair_of(example), context_of(example)) == example


@pytest.mark.parametrize("messages", [None, 1])
def test_one_question_and_one_answer_are_a_plain_pair(messages: int | None) -> None:
    example = Conversation((USER, ANSWER), prompt_messages=messages)
    assert context_of(example) is None
    assert example_of(*pair_of(example), None) == Pair("How many?", "Two.")


@pytest.mark.parametrize("key", ["reasoning_content", "thinking"])
def test_thinking_beside_the_content_becomes_a_think_block(key: str) -> None:
    example = Conversation((USER, {**ANSWER, key: "\nOne and one.\n"}))
    assert pair_of(example) == ("How many?", "<think>\nOne and one.\n</think>\n\nTwo.")
    assert context_of(example) is None


def test_the_context_holds_everything_before_the_response_and_not_the_response() -> None:
    example = Conversation((SYSTEM, USER, ANSWER, OTHER, LAST), tools=(TOOL,))
    assert pair_of(example) == ("And now?", "Three.")
    context = json.loads(str(context_of(example)))
    assert context == {"messages": [SYSTEM, USER, ANSWER, OTHER], "tools": [TOOL]}


def test_another_response_to_the_same_context_is_another_example() -> None:
    context = context_of(Conversation((SYSTEM, USER, ANSWER)))
    assert example_of("How many?", "Four.", context) == Conversation(
        (SYSTEM, USER, {"role": "assistant", "content": "Four."})
    )


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (Pair("How many?", None), "the response is missing"),
        (Pair(None, "Two."), "the instruction is missing"),
        (TokenIds((1, 2), (False, True)), "the row holds token ids"),
        (Conversation((USER, CALL)), "the response calls a tool"),
    ],
)
def test_what_a_study_cannot_use_keeps_its_reason(example: Any, reason: str) -> None:
    context = context_of(example)
    assert context is not None
    assert is_unusable(context)
    made = example_of(*pair_of(example), context)
    assert isinstance(made, Unusable)
    assert made.reason.startswith(reason)
