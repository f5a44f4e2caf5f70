"""Small cases of every kind of answer, right and wrong ones, are judged as a reader judges them."""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer


class Case(TypedDict):
    kind: str
    gold: str
    text: str
    question: str
    want: str


FILE = Path(__file__).with_name("cases.jsonl")
CASES: list[Case] = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
KINDS = list(dict.fromkeys(case["kind"] for case in CASES))


def verdict(case: Case) -> str:
    found = final_answer(case["text"], case["gold"], case["question"])
    if found is None:
        return "no_answer"
    return "passed" if same_answer(found, case["gold"]) else "answer_differs"


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_of_a_kind_gets_the_verdict_of_a_reader(kind: str) -> None:
    mine = [case for case in CASES if case["kind"] == kind]
    wrong = [(case["gold"], case["text"], verdict(case)) for case in mine]
    assert [w for w, case in zip(wrong, mine, strict=True) if w[2] != case["want"]] == []


def test_there_are_right_and_wrong_answers_of_every_kind() -> None:
    assert len(CASES) >= 800
    for kind in KINDS:
        wants = [case["want"] for case in CASES if case["kind"] == kind]
        assert wants.count("passed") >= 5
        assert len(wants) - wants.count("passed") >= 1
