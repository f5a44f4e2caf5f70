"""Text falls into sentences at the places where a reader would stop."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.responses.sentences import sentences

# Pieces of which the texts of models consist, in any order.
PIECES = st.sampled_from(["a", "B", "Mr", *".!?:-1$ ", "\n", "\n\n", "\\n", "\\[", "\\]", "**"])


@given(st.text() | st.lists(PIECES).map("".join))
def test_the_sentences_joined_are_the_text(text: str) -> None:
    found = sentences(text)
    assert "".join(found) == text
    assert all(found)


@pytest.mark.parametrize(
    "parts",
    [
        ["He left. ", "She stayed! ", "Why? ", "Nobody knows…"],
        ["Mr. Smith saw Dr. J. R. Jones. ", "They spoke."],
        ["It costs $3.50, e.g. at noon. ", "At 5 p.m. it is $4. ", "Later it is not."],
        ["He said: “No.” ", "Then he left."],
        ["So **it is 4.** ", "(Or nearly.) ", "Done."],
        ["The answer is Option B. ", "It is the best."],
        ["He lives in the U.S. and likes it... ", "She does too."],
    ],
)
def test_prose_ends_at_full_stops_but_not_at_abbreviations(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts


@pytest.mark.parametrize(
    "parts",
    [
        ["### Step 1: Add\n\n", "Two and two.\n\n", "### Step 2: Stop\n", "Four."],
        ["Two points. ", "First:\n1. **Red**. ", "It is warm.\n", "2. **Blue**. ", "It is cold."],
        ["A line that\nwraps around.\n", "Another one"],
        ["2 + 2 = 4\\n", "4 + 4 = 8\\n", "So x \\neq y"],
        ["- yes\n", "- no"],
    ],
)
def test_lists_end_at_their_lines_and_keep_their_numbers(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts


@pytest.mark.parametrize(
    "text",
    [
        "The answer is:\n\n- **No**",
        "Therefore,\n\\[\nx = 2. Y = 3.\n\\]",
        "We have $a.B$ and \\(c. D\\) here.",
        "\\begin{align} a &= 1. \\\\ B &= 2 \\end{align}",
    ],
)
def test_what_a_sentence_introduces_and_its_formulas_stay_with_it(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(("name", "mean"), [("with_cot", 4.6), ("with_cot_gpt4o", 12.3)])
def test_the_release_falls_into_as_many_sentences_as_it_seems(
    name: str, mean: float, shared: Path
) -> None:
    file = shared / "layer-gradient" / "cot_500" / f"gsm8k_train_{name}.json"
    texts = [row["output"] for row in json.loads(file.read_text("utf-8"))]
    found = [sentences(text) for text in texts]
    assert ["".join(parts) for parts in found] == texts
    assert sum(map(len, found)) / len(found) == pytest.approx(mean, abs=0.3)
    longest = max(len(part) for parts in found for part in parts)
    assert longest < 1500
