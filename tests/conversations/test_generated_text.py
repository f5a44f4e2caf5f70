"""What models generate is divided into thinking and answer, wherever a server leaves the marks."""

import pytest

from gradpipe.conversations.generated_text import GeneratedText, divide_generated
from gradpipe.conversations.think_blocks import THINK_MARKS, join_thinking

HARMONY = "<|channel|>analysis<|message|>Two and two.<|end|><|start|>assistant"


@pytest.mark.parametrize("opening", THINK_MARKS)
def test_a_block_of_every_mark_is_divided(opening: str) -> None:
    closing = THINK_MARKS[opening]
    answer = "The answer is 4."
    if opening.startswith("<|channel|>"):
        answer = f"<|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
    text = f"\n{opening}\nTwo and two.\n{closing}\n\n{answer}"
    assert divide_generated(text) == ("Two and two.", "The answer is 4.", True)


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        (" The answer is 4.\n", (None, " The answer is 4.\n", True)),
        ("<think>\n\n</think>\n\n4", (None, "4", True)),
        ("<think>\nTwo and", ("Two and", "", False)),
        ("Two and two.\n</think>\n\n4", ("Two and two.", "4", True)),
        (HARMONY + "<|channel|>final<|message|>4<|return|>", ("Two and two.", "4", True)),
        (HARMONY + "<|channel|>final<|message|>4 is", ("Two and two.", "4 is", True)),
        ("<|channel|>analysis<|message|>Two and", ("Two and", "", False)),
        (
            "<|start|>assistant" + HARMONY + "<|channel|>analysis<|message|>Four.<|end|>"
            "<|start|>assistant<|channel|>commentary to=tool<|message|>{}<|call|>"
            "<|start|>assistant<|channel|>final <|constrain|>json<|message|>4",
            ("Two and two.\n\nFour.", "4", True),
        ),
    ],
)
def test_texts_of_servers_without_a_parser(text: str, divided: tuple[str, str, bool]) -> None:
    assert divide_generated(text) == divided


def test_a_prompt_that_opened_the_block_is_continued_inside_it() -> None:
    assert divide_generated("Two.</think>4", inside=True) == ("Two.", "4", True)
    assert divide_generated("Two and", inside=True) == ("Two and", "", False)


def test_what_was_joined_is_divided_again() -> None:
    assert divide_generated(join_thinking("Two and\n\ntwo.", "4")) == GeneratedText(
        "Two and\n\ntwo.", "4"
    )


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("<think>One.</think>\n<think>Two.</think>\n4", ("One.\n\nTwo.", "4", True)),
        ("<think>One.</think>\nSo 3.\n<think>No.</think>\n4", ("One.\n\nNo.", "So 3.\n\n4", True)),
        ("<think>One.</think>\n4\n<think>Or", ("One.\n\nOr", "4", False)),
        (
            "<think>One.</think>\nIt writes <think> first.",
            ("One.", "It writes <think> first.", True),
        ),
    ],
)
def test_further_blocks_that_begin_a_line_are_thinking(
    text: str, divided: tuple[str, str, bool]
) -> None:
    assert divide_generated(text) == divided


@pytest.mark.parametrize(
    "text",
    ["The tag `</think>` ends the block.", 'It ends with "</think>".', "The `<think>` tag."],
)
def test_a_mark_that_is_quoted_divides_nothing(text: str) -> None:
    assert divide_generated(text) == (None, text, True)
