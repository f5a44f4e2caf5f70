"""Pairs become tokens as the protocol says: special tokens, system message, boundary, window."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol
from gradpipe.gradients.tokens import TokenRow

MakeTokenizer = Callable[..., PreTrainedTokenizerFast]
PAIR = Pair("Two plus two?", "4, as ever.")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system!') }}{% endif %}"
#: What the byte-level alphabet calls a newline.
NEWLINE = "Ċ"


def text(tokenizer: Any, ids: list[int]) -> str:
    decoded = tokenizer.decode(ids)
    assert isinstance(decoded, str)
    return decoded


def prompt_and_response(tokenizer: Any, row: TokenRow) -> tuple[str, str]:
    return text(tokenizer, row.ids[: row.start]), text(tokenizer, row.ids[row.start :])


@pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda protocol: protocol.preset)
def test_without_a_chat_template_a_newline_joins_instruction_and_response(
    protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(bos=True)
    row = Encoder(tokenizer, protocol).encode(PAIR)
    assert prompt_and_response(tokenizer, row) == ("<s>Two plus two?\n", "4, as ever.")
    assert row.response_tokens == len("4, as ever.")
    assert not row.truncated
    assert row.reason is None


def test_paper_doubles_the_bos_that_the_template_wrote_and_standard_does_not(
    make_tokenizer: MakeTokenizer, template: str
) -> None:
    tokenizer = make_tokenizer(bos=True, template=template)
    wrote = "<s>[system]You are a helpful assistant.\n[user]Two plus two?\n[assistant]"
    standard = Encoder(tokenizer, STANDARD).encode(PAIR)
    paper = Encoder(tokenizer, PAPER).encode(PAIR)
    assert prompt_and_response(tokenizer, standard) == (wrote, PAIR.response)
    assert prompt_and_response(tokenizer, paper) == ("<s>" + wrote, PAIR.response)


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('None for you!') }}",
        "{% if %}",
        "{{ messages.__class__.__mro__ }}",
        "{{ messages + 1 }}",
        "{{ range(10 ** 9) | list }}",
    ],
)
@pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda protocol: protocol.preset)
def test_a_template_that_fails_is_a_fault_of_the_model(
    template: str, protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    with pytest.raises(ModelError, match=r"chat template of org/odd fails \(.+\): use another"):
        Encoder(make_tokenizer(template=template), protocol, "org/odd").encode(PAIR)


def test_chat_off_leaves_the_template_alone(make_tokenizer: MakeTokenizer, template: str) -> None:
    tokenizer = make_tokenizer(bos=True, template=template)
    for preset in ("paper", "standard"):
        row = Encoder(tokenizer, make_protocol(preset, chat=False)).encode(PAIR)
        assert text(tokenizer, row.ids) == "<s>Two plus two?\n4, as ever."


def test_a_chat_without_a_template_is_refused(make_tokenizer: MakeTokenizer) -> None:
    with pytest.raises(ModelError, match=r"tokenizer of tiny has no chat template.*--no-chat"):
        Encoder(make_tokenizer(), make_protocol("paper", chat=True), "tiny")


@pytest.mark.parametrize("name", ["google/gemma-2-2b-it", "/models/Gemma3"])
def test_paper_leaves_the_system_message_out_for_gemma_by_name(
    name: str, make_tokenizer: MakeTokenizer, template: str
) -> None:
    tokenizer = make_tokenizer(template=template)
    assert "[system]" not in Encoder(tokenizer, PAPER, name).prompt("Hi")
    assert "[system]" in Encoder(tokenizer, STANDARD, name).prompt("Hi")


def test_standard_leaves_the_system_message_out_where_the_template_refuses_it(
    make_tokenizer: MakeTokenizer, template: str
) -> None:
    tokenizer = make_tokenizer(template=NO_SYSTEM + template)
    assert Encoder(tokenizer, STANDARD).prompt("Hi") == "<s>[user]Hi\n[assistant]"


def test_another_system_message_or_none_can_be_asked_for(
    make_tokenizer: MakeTokenizer, template: str
) -> None:
    tokenizer = make_tokenizer(template=template)
    for preset in ("paper", "standard"):
        other = Encoder(tokenizer, make_protocol(preset, system="Be brief."))
        assert other.prompt("Hi") == "<s>[system]Be brief.\n[user]Hi\n[assistant]"
        none = Encoder(tokenizer, make_protocol(preset, system=None))
        assert none.prompt("Hi") == "<s>[user]Hi\n[assistant]"


def test_a_token_across_the_boundary_belongs_to_the_response_except_under_paper(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer((NEWLINE, NEWLINE))
    pair = Pair("Q", "\nA")
    standard, paper = (Encoder(tokenizer, preset).encode(pair) for preset in (STANDARD, PAPER))
    assert standard.ids == paper.ids
    assert prompt_and_response(tokenizer, standard) == ("Q", "\n\nA")
    assert prompt_and_response(tokenizer, paper) == ("Q\n\n", "A")


def test_tokens_that_the_response_merges_away_move_the_paper_boundary_too_far(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer((NEWLINE, "a"), ("y", NEWLINE + "a"), ("x", "y" + NEWLINE + "a"))
    pair = Pair("xy", "abc")
    assert Encoder(tokenizer, STANDARD).encode(pair).start == 0
    # Three tokens of prefix, of which the whole text has none: what is left is off by two.
    paper = Encoder(tokenizer, PAPER).encode(pair)
    assert paper.start == 3
    assert paper.reason == "the response has no token of its own"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(instruction=st.text(max_size=20), response=st.text(min_size=1, max_size=20))
def test_offsets_find_the_response_in_any_text(
    instruction: str, response: str, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer((NEWLINE, "a"), (NEWLINE, "Ġ"), bos=True)
    row = Encoder(tokenizer, STANDARD).encode(Pair(instruction, response))
    before, after = (
        tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=False)
        for ids in (row.ids[: row.start], row.ids[row.start :])
    )
    assert before + after == f"<s>{instruction}\n{response}"
    assert len(after) - len(response) in (0, 1)
    assert row.reason is None


@pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda protocol: protocol.preset)
def test_a_tokenizer_without_offsets_finds_the_response_too(protocol: Protocol) -> None:
    tokenizer = ByT5Tokenizer(extra_ids=0)
    assert not tokenizer.is_fast
    row = Encoder(tokenizer, make_protocol(protocol.preset)).encode(Pair("é", "ü!"))
    if protocol is STANDARD:
        assert row.start == len("é\n".encode())
    else:
        # It ends every text with a token of its own, the encoded prefix as well.
        assert row.start == len("é\n".encode()) + 1


def test_what_lies_beyond_the_window_is_cut_off(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()
    row = Encoder(tokenizer, make_protocol("paper", max_length=16)).encode(PAIR)
    assert prompt_and_response(tokenizer, row) == ("Two plus two?\n", "4,")
    assert row.truncated
    assert row.reason is None
    assert row.response_tokens == 2


def test_the_model_window_counts_where_it_is_the_shorter_one(make_tokenizer: MakeTokenizer) -> None:
    protocol = make_protocol("paper", max_length=20)
    lengths = [
        len(Encoder(make_tokenizer(), protocol, "", window).encode(PAIR).ids)
        for window in (None, 10, 100)
    ]
    assert lengths == [20, 10, 20]


@pytest.mark.parametrize("preset", ["paper", "standard"])
def test_a_response_that_is_truncated_away_has_a_reason(
    preset: str, make_tokenizer: MakeTokenizer
) -> None:
    encoder = Encoder(make_tokenizer(), make_protocol(preset, max_length=14))
    [away, kept] = encoder.encode_all([PAIR, Pair("Two?", "4")])
    assert away.reason == (
        "the response was truncated away: the prompt alone fills the window of 14 tokens"
    )
    assert away.truncated
    assert away.response_tokens == 0
    assert kept.reason is None


def test_an_empty_response_has_a_reason(make_tokenizer: MakeTokenizer) -> None:
    row = Encoder(make_tokenizer(), STANDARD).encode(Pair("Two plus two?", ""))
    assert row.reason == "the response is empty"
    assert row.response_tokens == 0


def test_an_overlong_response_is_refused_under_standard_and_cut_under_paper(
    make_tokenizer: MakeTokenizer,
) -> None:
    pairs = [PAIR, Pair("Q", "x" * 31), Pair("Q", "x" * 40), Pair("Q", "x" * 30)]
    with pytest.raises(
        DataError, match=r"2 of 4 responses .* 30 tokens \(the longest is row 2 with 40\)"
    ):
        Encoder(make_tokenizer(), make_protocol("standard", max_length=30)).encode_all(pairs)
    rows = Encoder(make_tokenizer(), make_protocol("paper", max_length=30)).encode_all(pairs)
    assert [len(row.ids) for row in rows] == [25, 30, 30, 30]
    assert [row.truncated for row in rows] == [False, True, True, True]
    assert all(row.reason is None for row in rows)


def test_standard_cuts_a_response_that_would_fit_without_its_prompt(
    make_tokenizer: MakeTokenizer,
) -> None:
    [row] = Encoder(make_tokenizer(), make_protocol("standard", max_length=12)).encode_all(
        [Pair("Two?", "four, four")]
    )
    assert row.truncated
    assert row.response_tokens == 7
    assert row.reason is None


def test_the_first_token_of_a_text_carries_no_loss() -> None:
    assert TokenRow([5, 6, 7], 0, False).response_tokens == 2
    assert TokenRow([5, 6, 7], 1, False).response_tokens == 2
    assert TokenRow([5, 6, 7], 9, False).response_tokens == 0
