"""The place of a final answer is where the response last writes it, and nothing around it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.responses.answer_place import answer_place, stated_place
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer

RELEASE = Path("/work/shared/layer-gradient/cot_500")
OPTIONS = "How much is it?\nOptions:\n(A) 3\n(B) 4\n(C) 12"
PLACES = "Where does it keep?\nOptions:\n- in a drawer\n- in the soup"
SENTENCES = "Which of the two makes sense?\nSentence A: It rains.\nSentence B: It sings."
STATED = [
    ("How many are 3 × 4?", "Three fours are 12.\nThe final answer is 12", "12"),
    ("How many are 3 × 4?", "12", "12"),
    ("How many are 3 × 4?", "3 × 4 = 12.\n#### 12", "12"),
    ("How many are 3 × 4?", "As 3 × 4 = 12, there are 12 of them, after 3 days.", "12"),
    ("Compute it.", "It is \\(\\boxed{\\frac{3}{4}}\\).", "\\frac{3}{4}"),
    ("Compute it.", "So the price is \\boxed{20\\text{ dollars}}.", "20"),
    ("Would a bear go there?", "It is far. So the answer is no.", "no"),
    ("Would a bear go there?", "No", "No"),
    (OPTIONS, "3 × 4 = 12, so the answer is (C) 12.", "(C)"),
    (OPTIONS.replace("\n", "\\n"), "**Answer:** C", "C"),
    (PLACES, "Soup is wet, so the final answer is in a drawer.", "in a drawer"),
    (SENTENCES, "Rain falls. The final answer is Sentence A", "Sentence A"),
    ("Who wrote it?", "I recall it well. The answer is **Jane Austen**.", "Jane Austen"),
    ("Who wrote it?", "Jane Austen.", "Jane Austen"),
    # What leads to an answer is no part of it, whatever the question asks for.
    ("How many are 3 × 4?", "So 12.", "12"),
    ("Compute it.", "So 12.", "12"),
    ("Compute it.", "Thus 12", "12"),
    ("Compute it.", "Also 12!", "12"),
    ("Compute it.", "And so, **12**.", "12"),
    ("Compute it.", "Therefore, 3/4", "3/4"),
    (OPTIONS, "So (C)", "(C)"),
    (OPTIONS, "So C.", "C"),
    ("Would a bear go there?", "So no.", "no"),
    ("Who wrote it?", "Thus, Jane Austen.", "Jane Austen"),
    ("Which song is it?", "So Long, Marianne", "So Long, Marianne"),
]


@pytest.mark.parametrize(("question", "text", "answer"), STATED)
def test_a_stated_answer_has_the_place_of_its_characters(
    question: str, text: str, answer: str
) -> None:
    place = stated_place(text, question)
    assert place is not None
    assert text[place.start : place.end] == answer
    assert place.start == text.rindex(answer)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Would a bear go there?", "There is no reason to, which makes it implausible."),
        ("Who wrote it?", "It was written in 1813, in a house that had been let to the family."),
        ("How many?", ""),
        ("How many?", "\n "),
    ],
)
def test_an_answer_that_is_not_written_has_no_place(question: str, text: str) -> None:
    assert stated_place(text, question) is None


@given(st.text(max_size=60), st.text(max_size=40))
def test_a_place_is_inside_the_response_and_begins_and_ends_with_a_character(
    text: str, question: str
) -> None:
    place = stated_place(text, question)
    if place is not None:
        assert 0 <= place.start < place.end <= len(text)
        assert text[place.start : place.end] == text[place.start : place.end].strip()


@pytest.mark.skipif(not RELEASE.exists(), reason="needs the paper's files")
@pytest.mark.parametrize("benchmark", ["gsm8k", "aqua", "ecqa", "sensemaking", "creak"])
@pytest.mark.parametrize("style", ["no_cot", "with_cot", "with_cot_gpt4o"])
def test_the_place_holds_the_gold_answer_wherever_the_gate_finds_it(
    benchmark: str, style: str
) -> None:
    gold = json.loads((RELEASE / f"{benchmark}_train_no_cot.json").read_text("utf-8"))
    rows = json.loads((RELEASE / f"{benchmark}_train_{style}.json").read_text("utf-8"))
    for asked, row in list(zip(gold, rows, strict=True))[:12]:
        question, answer, text = asked["instruction"], asked["output"], row["output"]
        found = final_answer(text, answer, question)
        if found is None or not same_answer(found, answer):
            continue
        known, stated = answer_place(text, answer, question), stated_place(text, question)
        for place in (known, stated):
            if place is not None:
                written = text[place.start : place.end].strip('*“”"')
                assert written.casefold().strip("()") == answer.casefold().strip("()") or (
                    same_answer(written, answer)
                )
        # Only options and words that are described have no place.
        assert known is not None or benchmark in ("aqua", "creak")
