"""Padded answers and cut details have the length of the simplified response."""

import json
import re
from math import log
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.errors import DataError
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.length_matched import (
    CLOSING,
    NEUTRAL,
    cut_responses,
    matched_responses,
)
from gradpipe.responses.sentences import sentences
from gradpipe.responses.token_counts import count_words
from gradpipe.styles import MATCHED_STYLES


def responses(**texts: list[str | None]) -> pl.DataFrame:
    """Texts of each style for items i0, i1, ..."""
    return pl.concat(
        pl.DataFrame(
            {"item_id": [f"i{n}" for n in range(len(column))], "style": style, "text": column},
            schema={"item_id": pl.String, "style": pl.String, "text": pl.String},
        )
        for style, column in texts.items()
    )


@given(st.integers(1, 600), st.text("0123456789", min_size=1, max_size=6))
def test_a_padded_answer_meets_the_length_within_three_words(words: int, answer: str) -> None:
    (text,) = matched_responses(
        responses(none=[answer], simplified=["word " * words]), "none_padded"
    )["text"]
    shortest = 5  # The final answer is 4
    assert abs(count_words([text])[0] - max(words, shortest)) <= 3
    assert text.endswith(f"The final answer is {answer}")


def test_the_padding_is_neutral_and_the_same_for_all() -> None:
    for sentence in NEUTRAL + CLOSING:
        assert sentences(sentence) == [sentence]
        assert not re.search(r"(?i)\d|\b(?:yes|no|not|true|false|answer|therefore|so)\b", sentence)
        assert final_answer(sentence, "yes") is None
        assert final_answer(sentence, "3") is None
        assert final_answer(sentence, "(A)") is None
    assert len(set(NEUTRAL + CLOSING)) == len(NEUTRAL + CLOSING)
    table = responses(none=["4", "yes"], simplified=["word " * 40, "word " * 40])
    padding = {text.split("\n")[0] for text in matched_responses(table, "none_padded")["text"]}
    assert len(padding) == 1


@pytest.mark.parametrize(
    ("simplified", "expected"),
    [("w " * 2, "One two three."), ("w " * 9, "One two three. Four five six."), ("w " * 99, None)],
)
def test_a_detailed_response_is_cut_at_the_nearest_sentence(
    simplified: str, expected: str | None
) -> None:
    detailed = "One two three. Four five six. Seven eight nine ten eleven twelve."
    table = responses(detailed=[detailed], simplified=[simplified])
    (text,) = matched_responses(table, "detailed_cut")["text"]
    assert text == (expected or detailed)


def test_what_introduces_a_list_may_end_a_cut() -> None:
    table = responses(detailed=["Let us see:\n\n1. A long first step of it."], simplified=["a b c"])
    assert matched_responses(table, "detailed_cut")["text"].to_list() == ["Let us see:"]


def test_the_tokenizer_decides_when_there_is_one() -> None:
    def letters(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    table = responses(
        detailed=["Ab. Cdefgh ijklmn. O p q r s t."], simplified=["aaaaaaaaaaaaaaaaa"]
    )
    assert matched_responses(table, "detailed_cut", letters)["text"][0] == "Ab. Cdefgh ijklmn."
    assert matched_responses(table, "detailed_cut")["text"][0] == "Ab."


def test_items_without_the_styles_it_takes_get_none() -> None:
    table = responses(none=["4", "5", None], simplified=[None, "two and two and one", "two"])
    made = matched_responses(table, "none_padded")
    assert made["item_id"].to_list() == ["i1"]
    assert matched_responses(table, "detailed_cut").is_empty()


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(DataError, match="'none_paded' .* did you mean 'none_padded'"):
        matched_responses(responses(none=["4"]), "none_paded")


@pytest.mark.parametrize(
    ("style", "off"), [("none_padded", 0.02), ("detailed_cut", 0.11)], ids=MATCHED_STYLES
)
def test_the_release_s_lengths_are_met(style: str, off: float, shared: Path) -> None:
    folder = shared / "layer-gradient" / "cot_500"
    files = {"none": "no_cot", "simplified": "with_cot", "detailed": "with_cot_gpt4o"}
    texts = {
        name: [
            row["output"]
            for row in json.loads((folder / f"gsm8k_train_{file}.json").read_text("utf-8"))
        ]
        for name, file in files.items()
    }
    made = matched_responses(responses(**texts), style)["text"].to_list()
    pairs = zip(count_words(made), count_words(texts["simplified"]), strict=True)
    assert sum(abs(log(mine / model)) for mine, model in pairs) / 500 < off


def test_own_styles_are_cut_to_the_shortest_response_of_each_item() -> None:
    long, short = "One two. Three four. Five six.", "Alpha beta."
    table = responses(a=[long, short, long], b=[short, long, None], c=[long, long, long])
    made = {style: cut_responses(table, style, ["a", "b"]) for style in ("a", "b")}
    assert made["a"].rows() == [("i0", "One two."), ("i1", short)]
    assert made["b"].rows() == [("i0", short), ("i1", "One two.")]
