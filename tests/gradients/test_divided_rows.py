"""The rows of a protocol with spans: every loss token is in the span of its characters."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import ByT5Tokenizer

from gradpipe.conversations.examples import Pair, TextSpan
from gradpipe.errors import ModelError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.tokens import TokenRow

#: Its generation prompt opens a think block.
THINKS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]<think>\n"
NEWLINE = "Ċ"


def texts(tokenizer: Any, row: TokenRow) -> dict[str, str]:
    """The text of each span's tokens."""
    divided = sorted(position for span in row.spans for position in span.positions)
    assert divided == list(row.positions)
    return {
        span.name: tokenizer.decode([row.ids[position] for position in span.positions])
        for span in row.spans
    }


def test_a_response_is_divided_among_its_tokens(make_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_tokenizer((NEWLINE, NEWLINE))
    for boundary in ("offsets", "prefix"):
        encoder = Encoder(tokenizer, make_protocol(spans="think", boundary=boundary))
        row = encoder.encode(Pair("2 + 2?", "<think>Hm.</think>\n\nIt is é."))
        assert texts(tokenizer, row) == {"think": "<think>Hm.</think>\n\n", "answer": "It is é."}
    row = Encoder(tokenizer, make_protocol(spans="steps")).encode(Pair("Why?", "A.\n\nB.\n\nC."))
    assert texts(tokenizer, row) == {"step_1": "A.\n\n", "step_2": "B.\n\n", "step_3": "C."}
    named = Pair("Why?", "So: A.", spans=(TextSpan("claim", 4, 5),))
    row = Encoder(tokenizer, make_protocol(spans="data")).encode(named)
    assert texts(tokenizer, row) == {"rest": "So:.", "claim": " A"}


def test_a_final_answer_has_the_same_text_after_any_chain_of_thought(
    make_tokenizer: Callable[..., Any],
) -> None:
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer, make_protocol(spans="final_answer"))
    for response, rest in (
        ("42", None),
        ("It is 6 times 7.\nThe final answer is 42", "It is 6 times 7.\nThe final answer is "),
        ("6 × 7 = 42, so the answer is 42.", "6 × 7 = 42, so the answer is ."),
        ("<think>Is it 41?</think>\nSo 42.", "<think>Is it 41?</think>\nSo ."),
    ):
        found = texts(tokenizer, encoder.encode(Pair("How much is 6 times 7?", response)))
        assert found.pop("final_answer").strip() == "42"
        assert found == ({} if rest is None else {"rest": rest})


def test_the_end_of_the_turn_is_no_part_of_the_final_answer(
    make_tokenizer: Callable[..., Any],
) -> None:
    tokenizer = make_tokenizer(template=THINKS.replace("<think>\n", ""))
    protocol = make_protocol("training", spans="final_answer", end_of_turn=True)
    found = texts(tokenizer, Encoder(tokenizer, protocol).encode(Pair("6 × 7?", "42")))
    assert found["final_answer"] == "42"
    assert "42" not in found.get("rest", "")


def test_a_response_without_a_final_answer_is_usable_and_has_no_spans(
    make_tokenizer: Callable[..., Any],
) -> None:
    encoder = Encoder(make_tokenizer(), make_protocol(spans="final_answer"))
    for response in ("I would rather not say anything about any of this today.", "<think>42"):
        row = encoder.encode(Pair("Who is it?", response))
        assert (row.reason, row.spans) == (None, ())


def test_a_response_may_begin_inside_the_block_of_the_prompt(
    make_tokenizer: Callable[..., Any],
) -> None:
    tokenizer = make_tokenizer(template=THINKS)
    encoder = Encoder(tokenizer, make_protocol(spans="think", thinking="inside", system=None))
    row = encoder.encode(Pair("2 + 2?", "Hm.</think>\nIt is 4."))
    assert texts(tokenizer, row) == {"think": "Hm.</think>\n", "answer": "It is 4."}
    row = encoder.encode(Pair("2 + 2?", "It is 4."))
    assert row.reason == "the think block that the prompt opens is not closed"
    auto = Encoder(tokenizer, make_protocol(spans="think", system=None))
    assert texts(tokenizer, auto.encode(Pair("2 + 2?", "It is 4."))) == {"answer": "It is 4."}


def test_spans_that_the_window_cuts_off_are_left_out(make_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_tokenizer()
    protocol = make_protocol(spans="steps", max_length=10, overlong="truncate")
    row = Encoder(tokenizer, protocol).encode(Pair("Why?", "A.\n\nB.\n\nC."))
    assert texts(tokenizer, row) == {"step_1": "A.\n\n", "step_2": "B"}


def test_a_response_that_cannot_be_divided_is_unusable_with_the_reason(
    make_tokenizer: Callable[..., Any],
) -> None:
    thinking = Encoder(make_tokenizer(), make_protocol(spans="think"))
    assert thinking.encode(Pair("2 + 2?", "<think>Hm.")).reason == (
        "the think block <think> is not closed"
    )
    named = Encoder(make_tokenizer(), make_protocol(spans="data"))
    row = named.encode(Pair("2 + 2?", "4", spans=(TextSpan("a", 0, 2),)))
    assert row.reason is not None
    assert "'a'" in row.reason


def test_a_tokenizer_without_offsets_is_refused() -> None:
    Encoder(ByT5Tokenizer(), make_protocol(), "some model")
    with pytest.raises(ModelError, match=r"some model .* spans"):
        Encoder(ByT5Tokenizer(), make_protocol(spans="think"), "some model")
