"""Texts as they come: whatever can be tokens has a spectrum, whatever cannot has its reason."""

import math
import unicodedata
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast

import gradpipe
from gradpipe.conversations.examples import Pair
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

MakeModel = Callable[..., Any]
MakeTokenizer = Callable[..., PreTrainedTokenizerFast]
BOTH = pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda each: each.preset)
#: Instruction and response.
TEXTS = {
    "one token": ("a", "b"),
    "an empty instruction": ("", "x"),
    "both a newline": ("\n", "\n"),
    "blanks": ("a", "   "),
    "NUL bytes": ("a\0b", "c\0d\0"),
    "right to left": ("שלום עולם", "مرحبا بالعالم"),
    "directions turned round": ("a\u202eb", "\u202e\u200fc\u202c"),
    "an emoji family": ("👩‍👩‍👧‍👦", "🏳️‍🌈👍🏽"),
    "beyond the first plane": ("\U0001f600", "\U00020000\U0010ffff"),
    "combining characters": ("e\u0301", "\u0301e\u0308\u0323"),
    "noncharacters": ("\ufeffa", "\uffff\ufffe\ufeff"),
    "the response in the instruction": ("say abc", "say abc"),
    "special tokens only": ("a", "<s><s>"),
    "special tokens around": ("<s>a<s>", "<s>b"),
    "a template's own words": ("[assistant]", "[user]\n[assistant]"),
}


def extract(model: Any, rows: list[TokenRow]) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return pl.concat(extract_rows(loaded, rows, STANDARD)).sort("row")


@BOTH
@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_whatever_can_be_tokens_has_a_spectrum(
    chat: bool,
    protocol: Protocol,
    make_model: MakeModel,
    make_tokenizer: MakeTokenizer,
    template: str,
) -> None:
    tokenizer = make_tokenizer(bos=True, template=template if chat else None)
    encoder = Encoder(tokenizer, protocol)
    rows = encoder.encode_all([Pair(*texts) for texts in TEXTS.values()])
    for row, (_, response) in zip(rows, TEXTS.values(), strict=True):
        kept = tokenizer.backend_tokenizer.decode(row.ids[row.start :], skip_special_tokens=False)
        assert kept == response
    table = extract(make_model("llama", max_position_embeddings=512), rows)
    assert dict(zip(TEXTS, table["reason"], strict=True)) == dict.fromkeys(TEXTS)
    assert table["loss"].is_finite().all()
    assert table["matrices"].list.len().to_list() == [12] * len(TEXTS)


@BOTH
@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [
        ("a", "", "the response is empty"),
        ("", "", "the response is empty"),
        ("a", None, "the response is missing"),
        (None, "b", "the instruction is missing"),
        ("a", "b\ud83d!", "the response is not valid Unicode (lone surrogate U+D83D at position"),
        ("a\udfff", "b", "the instruction is not valid Unicode (lone surrogate U+DFFF at position"),
        ("word " * 20000, "b", "the response was truncated away: the prompt alone fills the"),
    ],
)
def test_whatever_cannot_has_its_reason_and_leaves_the_others_alone(
    instruction: str | None,
    response: str | None,
    reason: str,
    protocol: Protocol,
    make_model: MakeModel,
    make_tokenizer: MakeTokenizer,
) -> None:
    others = [Pair("Add.", "4"), Pair("Say it.", "It.")]
    rows = Encoder(make_tokenizer(), protocol, window=128).encode_all(
        [others[0], Pair(instruction, response), others[1]]
    )
    assert rows[1].reason is not None
    assert rows[1].reason.startswith(reason)
    table = extract(make_model("llama"), rows)
    assert table["reason"].to_list() == [None, rows[1].reason, None]
    assert table["matrices"].list.len().to_list() == [12, 0, 12]


def test_a_hundred_thousand_characters_are_cut_to_the_window(
    make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    pair = Pair("Go on.", "word " * 20000)
    [row] = Encoder(make_tokenizer(), PAPER, window=100).encode_all([pair])
    assert (len(row.ids), row.truncated, row.response_tokens) == (100, True, 93)
    assert extract(make_model("llama"), [row])["reason"].to_list() == [None]
    # With a window that holds them all, nothing is cut.
    whole = make_protocol("standard", max_length=200_000)
    [row] = Encoder(make_tokenizer(), whole).encode_all([pair])
    assert (len(row.ids), row.truncated) == (100_007, False)


def test_a_text_that_the_tokenizer_normalises_keeps_its_boundary(
    make_tokenizer: MakeTokenizer, make_model: MakeModel
) -> None:
    tokenizer = make_tokenizer(bos=True)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    texts = [("ﬁ①", "① ﬀ"), ("e\u0301", "e\u0301"), ("\u212b", "가")]
    encoder = Encoder(tokenizer, STANDARD)
    rows = encoder.encode_all([Pair(*each) for each in texts])
    for row, (_, response) in zip(rows, texts, strict=True):
        kept = tokenizer.backend_tokenizer.decode(row.ids[row.start :], skip_special_tokens=False)
        assert kept == unicodedata.normalize("NFKC", response)
    assert extract(make_model("llama"), rows)["reason"].null_count() == 3


def test_a_row_of_padding_tokens_only_is_a_row_like_any_other(
    make_model: MakeModel,
) -> None:
    model = make_model("llama")
    padding = [TokenRow([0] * 9, 4, False), TokenRow([0] * 12, 4, False)]
    table = extract(model, [*padding, TokenRow([5, 6, 7, 8, 9, 10], 3, False)])
    assert table["reason"].null_count() == 3
    alone = extract(model, padding[:1])
    assert table["loss"][0] == pytest.approx(alone["loss"].item(), rel=1e-5)


@BOTH
def test_duplicates_come_out_for_each_row_and_alike(
    protocol: Protocol, make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    pairs = [("Add.", "4"), ("Say it.", "It."), ("Add.", "5, or so"), ("Add.", "4"), ("Q", "")]
    table = gradpipe.extract_spectra(make_model("llama"), make_tokenizer(), pairs * 2, protocol)
    table = table.filter(pl.col("reason").is_null())
    assert table["example"].unique().to_list() == [0, 1, 2, 3, 5, 6, 7, 8]
    first = table.filter(pl.col("example") == 0).drop("example")
    for number in (3, 5, 8):
        same = table.filter(pl.col("example") == number).drop("example")
        assert_frame_equal(same, first, rel_tol=1e-4)
    other = table.filter(pl.col("example") == 2).drop("example")
    assert math.fabs(other["loss"][0] - first["loss"][0]) > 1e-3
