"""Where math-verify alone judges wrongly, and the comparison here does not."""

import logging
from collections.abc import Iterator

import math_verify
import pytest

from gradpipe.responses.final_answer.compare import same_answer

#: gold, found, whether they are the same.
CASES = [
    ("5 \\text{ km}", "5 \\text{ miles}", False),
    ("2 1/2", "2.5", True),
    ("1200.5", "1.200,50", True),
    ("\\frac{2}{3}", "0.667", True),
    ("\\frac{2}{25} - \\frac{14}{25}i", "\\frac{2}{25} - \\frac{14i}{25}", True),
    ("90000", "90 thousand", True),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Run without the library's warning about its time limit."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("gold", "found", "same"), CASES)
def test_math_verify_alone_errs(gold: str, found: str, same: bool) -> None:
    parsed = (math_verify.parse(f"${text}$", parsing_timeout=None) for text in (gold, found))
    assert math_verify.verify(*parsed, timeout_seconds=None) is not same
    assert same_answer(found, gold) is same


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ("x^2+1", "1 + x^2"),
        ("2\\sqrt{3}", "\\sqrt{12}"),
        ("(x-1)(x+1)", "x^2 - 1"),
        ("\\frac{4}{5}", "0.8 \\text{ or } \\frac{4}{5}"),
        ("x > 3", "(3, \\infty)"),
        ("1 \\pm \\sqrt{2}", "1+\\sqrt{2}, 1-\\sqrt{2}"),
    ],
)
def test_what_only_algebra_decides_is_left_to_math_verify(gold: str, found: str) -> None:
    assert same_answer(found, gold)
