"""The responses of the paper's release: how many end on their gold answer, per set and style."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from gradpipe.benchmarks.texts import last_boxed
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer


class Rows(NamedTuple):
    golds: list[str]
    questions: list[str]
    simplified: list[str]
    detailed: list[str]


@cache
def release(folder: Path, name: str, limit: int = 500) -> Rows:
    """A set's gold answers, questions and responses, without the rows that have no gold answer."""

    def column(key: str, kind: str) -> list[str]:
        place = "lighteval_math" if name in MATHEMATICS else "cot_500"
        prefix = name if name in MATHEMATICS else f"{name}_train"
        file = folder / place / f"{prefix}_{kind}.json"
        return [row[key] for row in json.loads(file.read_text("utf-8"))][:limit]

    simplified = column("output", "with_cot")
    if name in MATHEMATICS:
        golds = [last_boxed(text) or "" for text in simplified]
        assert all(golds)
    else:
        golds = column("output", "no_cot")
    detailed = column("output", "with_cot_gpt4o")
    return Rows(golds, column("instruction", "with_cot"), simplified, detailed)


def judged(texts: list[str], golds: list[str], questions: list[str]) -> tuple[int, int]:
    """How many texts end on their gold answer, and how many on none."""
    found = [final_answer(*row) for row in zip(texts, golds, questions, strict=True)]
    same = [one is not None and same_answer(one, g) for one, g in zip(found, golds, strict=True)]
    return sum(same), found.count(None)


#: Of 500 responses by GPT-4o: how many end on the gold answer, and how many on none.
REASONING = {
    "gsm8k": (474, 0),
    "aqua": (429, 22),
    "ecqa": (382, 4),
    "creak": (444, 3),
    "sensemaking": (490, 1),
    "strategyqa": (334, 103),
}
#: The same of the first 100.
MATHEMATICS = {"algebra": (76, 0), "counting_probability": (39, 1), "geometry": (33, 1)}


@pytest.mark.parametrize("name", REASONING)
def test_every_bare_and_simplified_response_ends_on_its_answer(name: str, shared: Path) -> None:
    rows = release(shared / "layer-gradient", name)
    assert judged(rows.golds, rows.golds, rows.questions) == (500, 0)
    assert judged(rows.simplified, rows.golds, rows.questions) == (500, 0)


@pytest.mark.parametrize(("name", "expected"), REASONING.items())
def test_detailed_responses_are_found_to_agree_this_often(
    name: str, expected: tuple[int, int], shared: Path
) -> None:
    rows = release(shared / "layer-gradient", name)
    assert judged(rows.detailed, rows.golds, rows.questions) == expected


@pytest.mark.parametrize(("name", "expected"), MATHEMATICS.items())
def test_solutions_end_on_their_box_and_details_agree_this_often(
    name: str, expected: tuple[int, int], shared: Path
) -> None:
    rows = release(shared / "layer-gradient", name, 100)
    assert judged(rows.simplified, rows.golds, rows.questions) == (100, 0)
    assert judged(rows.detailed, rows.golds, rows.questions) == expected


@pytest.mark.parametrize("name", [*REASONING, *MATHEMATICS])
def test_another_item_s_answer_is_never_taken_for_the_gold_one(name: str, shared: Path) -> None:
    rows = release(shared / "layer-gradient", name, 100 if name in MATHEMATICS else 500)
    others = [
        next(gold for gold in (*rows.golds[n + 1 :], *rows.golds) if not same_answer(gold, own))
        for n, own in enumerate(rows.golds)
    ]
    assert judged(rows.simplified, others, rows.questions)[0] == 0
