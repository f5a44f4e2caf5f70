"""What sources write into their texts is taken out or turned round, on their own rows."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.benchmarks.texts import (
    TOKENS_PER_PIECE,
    after_answer_line,
    before_answer_line,
    cut_at_sentence,
    estimated_tokens,
    last_boxed,
    lettered,
    with_line_breaks,
    without_calculator_marks,
)


def one(expression: pl.Expr, value: object) -> object:
    return pl.DataFrame({"text": [value]}).select(expression).item()


TEXT = pl.col("text")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Natalia sold 48/2 = <<48/2=24>>24 clips", "Natalia sold 48/2 = 24 clips"),
        ("12/60 = $<<12/60=0.2>>0.2, then $<<0.2*50=10>>10.", "12/60 = $0.2, then $10."),
        ("S + <<+30+46=76>>76", "S + 76"),
        ("1 << 2 and 4 >> 1", "1 << 2 and 4 >> 1"),
        ("so 3 < 4 > 2", "so 3 < 4 > 2"),
    ],
)
def test_calculator_marks_go_and_what_is_around_them_stays(text: str, plain: str) -> None:
    marks_gone = one(without_calculator_marks(TEXT), text)
    if "<<" in plain:
        # Two shifts in one line look like one mark: GSM8K has none, so it does not matter there.
        assert marks_gone in (plain, "1  1")
    else:
        assert marks_gone == plain


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("She sold 72.\n#### 72", "She sold 72.", "72"),
        ("It is 22,500.\n#### 1,022,500 ", "It is 22,500.", "1022500"),
        ("It fell.\n#### -3.5", "It fell.", "-3.5"),
        ("#### twice\n#### 2", "#### twice", "2"),
        ("none", None, None),
    ],
)
def test_the_answer_line_is_taken_off(text: str, before: str | None, after: str | None) -> None:
    assert one(before_answer_line(TEXT), text) == before
    assert one(after_answer_line(TEXT), text) == after


def test_options_are_lettered_as_flan_letters_them() -> None:
    assert one(lettered(TEXT), ["A)21", "B) 21.5 ", "C)f(x)", "(D) 1)2", "E)None"]) == (
        "(A) 21\n(B)  21.5 \n(C) f(x)\n(D) 1)2\n(E) None"
    )


def test_line_breaks_of_real_rows_go_both_ways(flan_folder: Path) -> None:
    with open(flan_folder / "sensemaking_train.tsv", encoding="utf-8") as file:
        question = file.readline().split("\t")[0]
    real = one(with_line_breaks(TEXT, "real"), question)
    assert isinstance(real, str)
    assert question.endswith("\\n")
    assert real.count("\n") == 3
    assert "\\n" not in real
    assert one(with_line_breaks(TEXT, "escaped"), real) == question.removesuffix("\\n")
    assert one(with_line_breaks(TEXT, "source"), question) == question


def _release_texts(folder: Path, name: str) -> list[str]:
    rows = json.loads((folder / "wiki_popularity" / f"{name}.json").read_text("utf-8"))
    return [row["output"] for row in rows]


@pytest.mark.parametrize(("tokens", "words", "identical"), [(100, 73, 234), (500, 316, 95)])
def test_real_texts_are_cut_about_where_the_paper_cut_them(
    tokens: int, words: int, identical: int, release_folder: Path
) -> None:
    longest = _release_texts(release_folder, "popular_wikipedia_1000")
    cut = [cut_at_sentence(text, tokens) for text in longest]
    mean = sum(len(text.split()) for text in cut) / len(cut)
    assert mean == pytest.approx(words, rel=0.01)
    paper = _release_texts(release_folder, f"popular_wikipedia_{tokens}")
    assert sum(map(str.__eq__, cut, paper)) == identical


def test_a_text_is_cut_at_the_first_sentence_end_after_its_length() -> None:
    text = "One two three. Four five six seven eight nine. Ten."
    for wanted, kept in ((1, 4), (4, 4), (5, 11), (11, 11), (12, 13), (50, 13)):
        cut = cut_at_sentence(text, int(wanted * TOKENS_PER_PIECE))
        assert estimated_tokens(cut) == pytest.approx(kept * TOKENS_PER_PIECE), wanted


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("He met J. R. Smith in the U.S. Army. Then he left. And so on.", 1),
        ('She said "Go!" He went on and on. Then more of it came.', 0),
        ("A heading\nIts text goes on.", 2),
        ("It rose by 3.5 per cent. Then it fell.", 3),
    ],
)
def test_what_ends_a_sentence(text: str, first: int) -> None:
    expected = [
        'She said "Go!"',
        "He met J. R. Smith in the U.S. Army.",
        "A heading",
        "It rose by 3.5 per cent.",
    ]
    assert cut_at_sentence(text, 1) == expected[first]


@given(st.text(alphabet="Ab .!?\n\"'", max_size=80), st.integers(1, 60))
def test_a_cut_text_is_a_beginning_of_the_text_and_not_empty(text: str, tokens: int) -> None:
    cut = cut_at_sentence(text, tokens)
    assert text.strip().startswith(cut)
    assert bool(cut) == bool(text.strip())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{1}, no: \boxed{2}.", "2"),
        (r"\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{(0, \}}", r"(0, \}"),
        (r"\boxed{1} and \boxed{cut {off}", "1"),
        ("no box", None),
    ],
)
def test_boxes_are_read_by_balanced_braces(text: str, answer: str | None) -> None:
    assert last_boxed(text) == answer
