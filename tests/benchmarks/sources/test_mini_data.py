"""The embedded mini benchmark keeps its promises: counts, styles, lengths and true sums."""

import json
import re
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise

import pytest

DATA = files("gradpipe.benchmarks") / "data"
REASONING = ("mini_maths", "mini_commonsense")
COUNTS = {"mini_maths": 12, "mini_commonsense": 12, "mini_popular": 6, "mini_obscure": 6}
STYLES = {
    "mini_maths": ["none", "simplified", "detailed"],
    "mini_commonsense": ["none", "simplified", "detailed"],
    "mini_popular": ["length_100", "length_500", "length_1000"],
    "mini_obscure": ["article"],
}

#: Numbers of words stand in for numbers of tokens, so that these tests need no tokenizer. Maths
#: texts have fewer words a token, because the demo model's tokenizer spends one on every digit.
WORDS = {
    "mini_maths": {
        "instruction": (20, 60),
        "none": (1, 1),
        "simplified": (30, 65),
        "detailed": (135, 210),
    },
    "mini_commonsense": {
        "instruction": (10, 60),
        "none": (1, 5),
        "simplified": (25, 60),
        "detailed": (175, 220),
    },
    "mini_popular": {
        "instruction": (4, 10),
        "length_100": (75, 92),
        "length_500": (385, 445),
        "length_1000": (760, 840),
    },
    "mini_obscure": {"instruction": (4, 10), "article": (50, 90)},
}

NUMBER = r"\d+(?:\.\d+)?"
EQUATION = re.compile(
    rf"(?<![\d.,/])({NUMBER}(?: [+−×÷] {NUMBER})+) = ({NUMBER})(?!\d|[.,]\d)(?! [+−×÷=])"
)


def read_items(name: str) -> list[dict]:
    text = (DATA / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def evaluate(expression: str) -> Fraction:
    """The exact value of a sum such as ``4 + 3 × 2``; products are taken before sums."""
    first, *rest = expression.split(" ")
    terms = [Fraction(first)]
    for operator, number in zip(rest[::2], map(Fraction, rest[1::2]), strict=True):
        match operator:
            case "×":
                terms[-1] *= number
            case "÷":
                terms[-1] /= number
            case "+":
                terms.append(number)
            case "−":
                terms.append(-number)
    return sum(terms, Fraction(0))


def mentions(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def last_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s+", text.strip())[-1]


ALL_ITEMS = [
    pytest.param(name, item, id=f"{name}-{index}")
    for name in COUNTS
    for index, item in enumerate(read_items(name))
]
REASONING_ITEMS = [param for param in ALL_ITEMS if param.values[0] in REASONING]
POPULAR_ITEMS = [param for param in ALL_ITEMS if param.values[0] == "mini_popular"]
MATHS_ITEMS = [param for param in ALL_ITEMS if param.values[0] == "mini_maths"]


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_each_file_has_its_number_of_items_and_no_question_twice(name, count):
    instructions = {item["instruction"] for item in read_items(name)}
    assert len(read_items(name)) == len(instructions) == count


@pytest.mark.parametrize(("name", "item"), ALL_ITEMS)
def test_every_item_has_the_styles_of_its_file_and_no_empty_or_padded_text(name, item):
    assert list(item) == ["instruction", "answer", "responses"]
    assert list(item["responses"]) == STYLES[name]
    for text in (item["instruction"], item["answer"], *item["responses"].values()):
        assert text
        assert text == text.strip()


@pytest.mark.parametrize(("name", "item"), REASONING_ITEMS)
def test_the_none_response_is_exactly_the_answer(name, item):
    assert item["responses"]["none"] == item["answer"]


@pytest.mark.parametrize(("name", "item"), REASONING_ITEMS)
def test_the_simplified_response_ends_with_the_line_of_the_final_answer(name, item):
    last_line = item["responses"]["simplified"].split("\n")[-1]
    assert last_line == f"The final answer is {item['answer']}"


@pytest.mark.parametrize(("name", "item"), REASONING_ITEMS)
def test_the_detailed_response_goes_step_by_step_checks_itself_and_closes_with_the_answer(
    name, item
):
    detailed = item["responses"]["detailed"]
    steps = [int(number) for number in re.findall(r"^Step (\d+): ", detailed, flags=re.MULTILINE)]
    assert len(steps) >= 3
    assert steps == list(range(1, len(steps) + 1))
    assert "\n\nCheck: " in detailed
    assert mentions(last_sentence(detailed), item["answer"])


@pytest.mark.parametrize("name", ["mini_maths", "mini_popular", "mini_obscure"])
def test_no_two_items_share_an_answer_outside_commonsense(name):
    answers = [item["answer"] for item in read_items(name)]
    assert len(set(answers)) == len(answers)


def test_commonsense_answers_are_varied_so_that_none_wins_by_being_common():
    answers = [item["answer"] for item in read_items("mini_commonsense")]
    assert len(set(answers)) >= 8
    assert max(answers.count(answer) for answer in answers) <= 2


def test_commonsense_mixes_choices_yes_or_no_and_senseless_sentences_equally():
    items = read_items("mini_commonsense")
    choices = [item for item in items if "\nOptions:\n- " in item["instruction"]]
    yes_or_no = [item for item in items if item["answer"] in ("Yes", "No")]
    sentences = [item for item in items if item["answer"] in ("Sentence A", "Sentence B")]
    assert len(choices) == len(yes_or_no) == len(sentences) == 4
    for item in choices:
        options = item["instruction"].split("\nOptions:\n")[1].split("\n")
        assert options.count(f"- {item['answer']}") == 1
    for item in sentences:
        assert "\nSentence A: " in item["instruction"]
        assert "\nSentence B: " in item["instruction"]


@pytest.mark.parametrize(("name", "item"), MATHS_ITEMS)
def test_every_equation_in_the_maths_texts_holds(name, item):
    for text in item["responses"].values():
        equations = EQUATION.findall(text)
        assert len(equations) == text.count("="), "an equals sign stands outside an equation"
        for expression, result in equations:
            assert evaluate(expression) == Fraction(result), f"{expression} = {result}"


@pytest.mark.parametrize(("name", "item"), MATHS_ITEMS)
def test_the_maths_answer_is_the_result_of_an_equation_in_each_worked_response(name, item):
    for style in ("simplified", "detailed"):
        results = [result for _, result in EQUATION.findall(item["responses"][style])]
        assert item["answer"] in results


def test_the_maths_texts_hold_enough_equations_to_be_worth_checking():
    texts = [text for item in read_items("mini_maths") for text in item["responses"].values()]
    assert sum(len(EQUATION.findall(text)) for text in texts) >= 40


def test_the_equation_checker_tells_right_from_wrong():
    assert evaluate("4 + 3 × 2 − 9 ÷ 3") == 7
    assert EQUATION.findall("so 27 + 13.5 = 40.5, and 6 × 48 = 288.") == [
        ("27 + 13.5", "40.5"),
        ("6 × 48", "288"),
    ]
    assert evaluate("6 × 48") != 289


@pytest.mark.parametrize(("name", "item"), REASONING_ITEMS + POPULAR_ITEMS)
def test_each_style_has_more_words_than_the_one_before(name, item):
    lengths = [len(text.split()) for text in item["responses"].values()]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize(("name", "item"), POPULAR_ITEMS)
def test_each_longer_knowledge_text_begins_with_the_shorter_one(name, item):
    texts = list(item["responses"].values())
    for shorter, longer in pairwise(texts):
        assert longer.startswith(f"{shorter}\n\n")


@pytest.mark.parametrize("name", ["mini_popular", "mini_obscure"])
def test_knowledge_items_ask_about_their_topic_and_answer_in_plain_prose(name):
    for item in read_items(name):
        assert item["instruction"] == f"Tell me about {item['answer']}."
        for text in item["responses"].values():
            assert item["answer"].lower() in text.lower()
            for paragraph in text.split("\n\n"):
                assert "\n" not in paragraph
                assert paragraph[0].isupper()
                assert paragraph.endswith(".")


@pytest.mark.parametrize(("name", "item"), ALL_ITEMS)
def test_every_text_keeps_within_its_bounds_in_words(name, item):
    for part, text in {"instruction": item["instruction"], **item["responses"]}.items():
        fewest, most = WORDS[name][part]
        assert fewest <= len(text.split()) <= most, part
