"""Stop tokens that a server left are cut; what only looks like one is kept."""

import pytest

from gradpipe.conversations.stop_tokens import STOP_TOKENS, cut_stop_tokens

ANSWER = "The answer is 4."


@pytest.mark.parametrize("token", STOP_TOKENS)
def test_every_stop_token_at_the_end_is_cut(token: str) -> None:
    assert cut_stop_tokens(f"{ANSWER}\n{token}\n") == (ANSWER, f"{token}\n")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{ANSWER}<|im_end|>\n<|im_end|>", ANSWER),
        (f"{ANSWER}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nIs", ANSWER),
        (f"{ANSWER}</s>\nuser\nWhat is 5?", ANSWER),
        (f"{ANSWER}<end_of_turn>\n<start_of_turn>user\nMore", ANSWER),
        (f"{ANSWER}<|endoftext|>Question: what is 5?", ANSWER),
        (f"{ANSWER} <|endoftext|> Question: what is 5?", ANSWER),
        (f"{ANSWER}\n<|endoftext|>\nHuman: hello", ANSWER),
        (f"<s> {ANSWER}</s>", ANSWER),
        (f"<|im_start|>assistant\n{ANSWER}<|im_end|>", ANSWER),
        ("```python\nprint(4)\n<|im_end|>", "```python\nprint(4)"),
        ("It was <s>5</s>, now 4.</s>", "It was <s>5</s>, now 4."),
    ],
)
def test_a_text_ends_where_its_turn_ended(text: str, kept: str) -> None:
    found = cut_stop_tokens(text)
    assert found.text == kept
    assert found.cut is not None
    assert text.endswith(found.cut)


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "The price was <s>$5</s> and is $4.",
        "It was <s class='old'>5</s>",
        "```html\n<s>5</s>\n```",
        "The token `</s>` ends a sequence, as `<|im_end|>` ends a turn.",
        'It writes "<|im_end|>".',
        "Use <|im_end|> to end turns.",
        "In Llama 2, </s> ends a sequence.",
        "```\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n```\nThat is ChatML.",
        "",
    ],
)
def test_what_a_text_says_about_tokens_is_kept(text: str) -> None:
    assert cut_stop_tokens(text) == (text, None)


def test_a_tokenizers_own_token_is_cut() -> None:
    assert cut_stop_tokens(f"{ANSWER}[STOP]", ["[STOP]"]) == (ANSWER, "[STOP]")
    assert cut_stop_tokens(f"{ANSWER}[STOP]") == (f"{ANSWER}[STOP]", None)
