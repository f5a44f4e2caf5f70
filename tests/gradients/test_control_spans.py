"""The controls for length have as many tokens as they say, and are the same in every run."""

from collections.abc import Callable
from typing import Any

import pytest

from gradpipe.conversations.examples import Pair
from gradpipe.errors import StudyError
from gradpipe.gradients.control_spans import CONTROL_SPANS
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import STANDARD, make_protocol
from gradpipe.gradients.tokens import TokenRow

COUNT = "How many are 3 and 4?"
CHAIN = "Three and four are seven, so the answer is 7."
THOUGHT = "<think>Three and four.</think>\n\nSeven"


def encode(tokenizer: Any, response: str, **settings: Any) -> TokenRow:
    return Encoder(tokenizer, make_protocol(**settings)).encode(Pair(COUNT, response))


def positions(row: TokenRow) -> dict[str, tuple[int, ...]]:
    return {span.name: span.positions for span in row.spans}


def test_the_first_tokens_and_random_ones_are_as_many_as_asked_for(
    make_tokenizer: Callable[..., Any],
) -> None:
    row = encode(make_tokenizer(), CHAIN, spans="final_answer", control_tokens=5)
    spans = positions(row)
    assert tuple(spans)[-2:] == CONTROL_SPANS
    assert spans["first_k"] == tuple(row.positions[:5])
    assert len(set(spans["random_k"])) == 5
    assert set(spans["random_k"]) <= set(row.positions)
    assert list(spans["random_k"]) == sorted(spans["random_k"])
    again = encode(make_tokenizer(), CHAIN, spans="final_answer", control_tokens=5)
    assert positions(again) == spans
    other = encode(make_tokenizer(), f"Well. {CHAIN}", spans="final_answer", control_tokens=5)
    drawn = [place - row.positions[0] for place in spans["random_k"]]
    assert [p - other.positions[0] for p in positions(other)["random_k"]] != drawn


def test_the_controls_have_as_many_tokens_as_the_answer(
    make_tokenizer: Callable[..., Any],
) -> None:
    row = encode(make_tokenizer(), CHAIN, spans="final_answer", control_tokens="answer")
    spans = positions(row)
    assert [len(spans[name]) for name in ("final_answer", *CONTROL_SPANS)] == [1, 1, 1]


def test_controls_of_thinking_are_tokens_of_the_thinking(
    make_tokenizer: Callable[..., Any],
) -> None:
    row = encode(make_tokenizer(), THOUGHT, spans="think", control_tokens="answer")
    spans = positions(row)
    assert spans["first_k"] == spans["think"][: len(spans["answer"])]
    assert set(spans["random_k"]) <= set(spans["think"])
    # There is no thinking to take them from.
    assert tuple(positions(encode(make_tokenizer(), "7", spans="think", control_tokens=1))) == (
        "answer",
    )


def test_a_row_with_fewer_tokens_has_no_controls(make_tokenizer: Callable[..., Any]) -> None:
    row = encode(make_tokenizer(), "7", spans="final_answer", control_tokens=2)
    assert tuple(positions(row)) == ("final_answer",)
    unknown = encode(make_tokenizer(), "I do not know how many of them there may be, or why.",
                     spans="final_answer", control_tokens="answer")  # fmt: skip
    assert unknown.spans == ()


def test_controls_are_taken_from_what_the_window_leaves(
    make_tokenizer: Callable[..., Any],
) -> None:
    row = encode(
        make_tokenizer(), CHAIN, spans="steps", control_tokens=3, overlong="truncate", max_length=30
    )
    assert row.truncated
    assert all(max(places) < 30 for places in positions(row).values())
    assert [len(positions(row)[name]) for name in CONTROL_SPANS] == [3, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control_tokens": 4}, "it needs spans"),
        ({"control_tokens": 0, "spans": "think"}, "whole number from 1"),
        ({"control_tokens": True, "spans": "think"}, "whole number from 1"),
        ({"control_tokens": "many", "spans": "think"}, "whole number from 1"),
        ({"control_tokens": "answer", "spans": "steps"}, "no answer to count"),
    ],
)
def test_a_count_that_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=f"'control_tokens.*{message}"):
        make_protocol(**settings)


def test_without_controls_the_key_is_the_one_it_always_was() -> None:
    assert "control_tokens" not in STANDARD.key()
    thinking = make_protocol(spans="think")
    assert "control_tokens" not in thinking.key()
    assert make_protocol(spans="think", control_tokens=4).key() == {
        **thinking.key(),
        "control_tokens": 4,
    }
