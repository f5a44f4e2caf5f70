"""The answer a text ends on is found, and judged the gold one exactly when it is."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.responses.final_answer.compare import answer_key, same_answer
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.final_answer.kinds import answer_kind


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("yes", "yes_no"),
        ("False", "yes_no"),
        ("(C)", "option"),
        ("B", "option"),
        ("Sentence A", "label"),
        ("1,200", "number"),
        ("-3.5", "number"),
        ("$18", "number"),
        ("\\frac{1}{2}", "formula"),
        ("(18, -18)", "formula"),
        ("x", "formula"),
        ("-i", "formula"),
        ("2x", "formula"),
        ("carpal tunnel syndrome", "phrase"),
    ],
)
def test_the_gold_answer_tells_the_kind(gold: str, kind: str) -> None:
    assert answer_kind(gold) == kind


NUMBERS = [
    ("He has 8 apples.\nThe final answer is 8", "8"),
    ("So it costs \\(\\boxed{\\$1{,}200.00}\\) in all, for 3 of them.", "1200"),
    ("15 - 5 = 10.\n\nTherefore, Pete returns 10 bottles to make up the remaining $5.", "10"),
    ("It was 3.\n\n**Conclusion:**\nThe number of couples is 60. We divided the rest by 2.", "60"),
    ("Thus, the total is **42** dollars after 7 days.", "42"),
    ("The answer is 12, since 3 * 4 = 12.", "12"),
    ("18", "18"),
    ("It is \\boxed{\\frac{3}{4}}.", "0.75"),
]


@pytest.mark.parametrize(("text", "gold"), NUMBERS)
def test_a_number_is_what_the_conclusion_comes_to(text: str, gold: str) -> None:
    found = final_answer(text, gold)
    assert found is not None
    assert same_answer(found, gold)


def test_a_number_that_the_question_gives_is_not_concluded() -> None:
    text = "So within 4 hours they pick 96 apples with 2 hands."
    question = "How many apples do they pick with 2 hands in 4 hours?"
    assert final_answer(text, "96", question) == "96"


@pytest.mark.parametrize("box", ["2-2p", "\\frac1b", "a+b"])
def test_a_formula_in_a_box_is_no_number(box: str) -> None:
    assert final_answer(f"With 2 and 0 it is \\boxed{{{box}}}", "2") == box


CHOICES = "What?\\nOptions:\\n(A) 22\\n(B) 27 1/2\\n(C) forty miles\\n(D) 46"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(B)", "(B)"),
        ("B", "(B)"),
        ("Not (A).\nThe final answer is (D)", "(D)"),
        ("Hence, the correct answer is:\n\n\\[\n\\boxed{(C)}\n\\]", "(C)"),
        ("So the right option is\n\n**(A) 22**", "(A)"),
        ("So it is \\boxed{\\text{D}}.", "(D)"),
        ("The result is\n\\[ \\boxed{46} \\]", "(D)"),
        ("It is \\boxed{47}.", None),
        ("I have no idea.", None),
    ],
)
def test_an_option_is_found_by_letter_or_by_value(text: str, found: str | None) -> None:
    assert final_answer(text, "(A)", CHOICES) == found


LISTED = "Where?\nOptions:\n- sit down\n- sit on chair\n- bank\n- river bank"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("river bank", "river bank"),
        ("It is no bank.\nThe final answer is river bank", "river bank"),
        ("Therefore, the most fitting choice is:\n\n- **Sit on chair**", "sit on chair"),
        ("A bank is dry. While a bank would do, **river bank** is better.", "river bank"),
        ("None of this is of any help to him at all.", None),
    ],
)
def test_an_option_s_text_is_found_where_the_response_settles(text: str, found: str | None) -> None:
    assert final_answer(text, "bank", LISTED) == found


def test_without_options_a_phrase_has_to_be_stated() -> None:
    assert final_answer("So the answer is **Sore hands**.", "bank") == "Sore hands"
    assert final_answer("Hands get sore when you knit for hours and hours.", "bank") is None


ODD = "Which of the two does not make sense?\nOptions:\n- Sentence A: ...\n- Sentence B: ..."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sentence B", "Sentence B"),
        ("Sentence A is fine.\nThe final answer is Sentence B", "Sentence B"),
        ("**Sentence A** doesn't make sense, while sentence B is logical.", "Sentence A"),
        ("Sentence B makes sense. Thus the nonsensical one is **Sentence A**.", "Sentence A"),
        ("Sentence A is illogical. In contrast, Sentence B is sensible.", "Sentence A"),
    ],
)
def test_a_label_is_the_one_the_question_asks_for(text: str, found: str) -> None:
    assert final_answer(text, "Sentence B", ODD) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("yes", "yes"),
        ("No one knows.\nThe final answer is yes", "yes"),
        ('Therefore, the answer is "Yes."', "yes"),
        ("The correct answer is:\n\n- no\n\nHere is why. It cannot be.", "no"),
        ("**Conclusion:**\n- **No**", "no"),
        ("No, he did not. He was born later.", "no"),
        ("Hence the statement is not accurate.", "no"),
        ("Thus, the claim is likely false.", "no"),
        ("In short, this is entirely plausible.", "yes"),
        ("No evidence is known, and yes votes were few at the time.", None),
        ("The correct understanding is that they swim.", None),
    ],
)
def test_yes_or_no_is_said_or_judged(text: str, found: str | None) -> None:
    assert final_answer(text, "yes") == final_answer(text, "no") == found


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("So $a+b=\\boxed{\\dfrac{5}{13}}$.", "\\frac{5}{13}"),
        ("Then\n\\[ \\boxed{(0, 1]} \\]", "(0,1]"),
        ("It is \\boxed{12\\sqrt{3} + 36}.", "36 + 12\\sqrt{3}"),
        ("The answer is \\(x = 3y + 2\\).", "2+3y"),
        ("Hence the point is $(18, -18)$.", "(18,-18)"),
        ("The direction is \\boxed{\\text{East}}.", "\\text{east}"),
    ],
)
def test_a_formula_is_compared_as_mathematics(text: str, gold: str) -> None:
    found = final_answer(text, gold)
    assert found is not None
    assert same_answer(found, gold)


@pytest.mark.parametrize(
    ("word", "yes"),
    [
        *((word, True) for word in ("是", "对", "對", "正确", "正確", "はい", "正しい")),
        *((word, False) for word in ("否", "不对", "不對", "错误", "錯誤", "不正确", "不正確")),
        *((word, False) for word in ("いいえ", "正しくない", "間違い", "誤り")),
    ],
)
def test_yes_and_no_are_known_in_chinese_and_japanese(word: str, yes: bool) -> None:
    assert answer_kind(word) == "yes_no"
    assert same_answer(word, "yes" if yes else "no")
    assert not same_answer(word, "no" if yes else "yes")
    assert final_answer(f"{word}。", "yes") == ("yes" if yes else "no")


@pytest.mark.parametrize(
    ("found", "gold"),
    [
        ("12", "13"),
        ("1200", "120"),
        ("\\frac{1}{2}", "\\frac{1}{3}"),
        ("(1, 2)", "(2, 1)"),
        ("x + 1", "x - 1"),
        ("[0, 1)", "(0, 1]"),
        ("(A)", "(B)"),
        ("no", "yes"),
        ("communicate", "communication"),
        ("Sentence A", "Sentence B"),
    ],
)
def test_other_answers_are_not_the_same(found: str, gold: str) -> None:
    assert not same_answer(found, gold)


@pytest.mark.parametrize(
    "hostile",
    [
        "9^{9^{9^{9}}}",
        "2^{999999999}",
        "99999999!",
        "\\binom{99999999}{5555555}",
        "\\int_0^\\infty x^{x} e^{-x^2} dx",
        "x" * 5000,
    ],
)
def test_what_no_machine_can_work_out_is_left_alone(hostile: str) -> None:
    assert not same_answer(hostile, "\\frac{1}{2}")
    assert same_answer(hostile, hostile)


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_the_same_however_it_is_written(number: int) -> None:
    ways = [f"{number:,}", f"{number}.00", f"${number}", f" **{number}** ", f"\\({number}\\)."]
    assert {answer_key(way) for way in ways} == {str(number)}
    assert not same_answer(str(number), str(number + 1))


@given(st.text(max_size=80), st.sampled_from(["yes", "(A)", "Sentence A", "3", "\\pi", "a bank"]))
def test_any_text_at_all_has_an_answer_or_none(text: str, gold: str) -> None:
    found = final_answer(text, gold, text)
    assert found is None or found.strip()


def test_threads_compare_formulas_without_signals_and_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    same: list[bool] = []

    def compare() -> None:
        same.extend(same_answer(f"\\frac{{{n}}}{{{2 * n}}}", "\\frac{1}{2}") for n in range(1, 9))
        same.extend(same_answer(f"{n}x + {n}", f"{n}(x + 1)") for n in range(2, 9))

    threads = [threading.Thread(target=compare) for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    assert same == [True] * 30
    assert caplog.records == []
