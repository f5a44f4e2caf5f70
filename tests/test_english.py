"""The English of the product: phrases of the old dialect do not come back.

Each pattern finds an idiom that readers stumbled over, and names what to write instead.
"""

import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("gradpipe", "storage", "assets", "bench", "docs", "examples")
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "pyproject.toml")
SUFFIXES = {".py", ".md", ".js", ".css", ".html", ".jinja", ".yaml", ".yml", ".toml", ".ipynb"}

_THING = r"(?:item|example|pair|GPU|token|row|layer|machine|cell|batch|model|matrix|stage|style|"
_THING += r"benchmark|projection|head|core|device|worker)(?:s|es)?"
_COUNTED = r"(?:rows?|seconds?|values?|numbers?|bytes|one|lines?|parts?|files?|names?|calls?)"
_ISE = "normal|optim|organ|recogn|initial|serial|summar|minim|maxim|real|general|util|quant|token|"
_ISE += "material|standard|parallel|vector|synchron|categor|visual|memor|custom|special"

#: What to write, and what is found instead.
PATTERNS = {
    "per": rf"\b{_COUNTED} an? {_THING}\b",
    "is not a": r"\b(?:is|are|was|were|be) none\b(?! of)|\bnone of its\b|\bnone for\b|"
    r"(?<![Tt]here )\b(?:is|are) no\b(?! (?:longer|more))",
    "fix, nothing, compute, again, extreme": r"\b(?:mend(?:s|ed|ing)?|[an]ought|whither|whence|"
    r"hence|reckon\w*|anew|utmost|lest|thereof|therein|wherein)\b",
    "is missing": r"\black(?:s|ed|ing)?\b",
    "distinguish": r"\b(?:tells?|told|telling)\b[^.\n]{0,40}\bfrom\b",
    "resume": r"\b(?:go|goes|went|going) on (?:where|with|from|to|at|as|without)\b|"
    r"\b(?:is|gone) through\b",
    "retry": r"\btr(?:y|ies|ied) again\b|\bgrowing waits\b|\bmay pass\b|"
    r"\b(?:taken?|takes|made|asked) again\b",
    "a noun": r"\bthat which\b|\bthose that\b|\bsuch as have\b|\b(?:of|to|for|with) what\b|"
    r"\bwith no hand\b|\bin words\b|\btaken apart\b|\bto be had\b|\bat hand\b|\bso many\b|"
    r"\bin its place\b|\bfor ever\b|\bsaid so\b",
    "American spelling": r"\b(?:behaviour|colour|favour|neighbour|honour|centre|metre|grey|"
    r"labelled|modelled|cancelled|cancelling|catalogue|licence|artefact|judgement|programme)\w*|"
    rf"\b(?:{_ISE})is(?:e|es|ed|ing|ation)s?\b|\banalys(?:e|ed|ing)\b|\bemphasis(?:e|ed|ing)\b",
}


#: Where a phrase is right: spellings of options and of JSON keys that scripts use, an attribute of
#: HTML, a method of Python's futures, a text that is data, and words that gradpipe searches for in
#: people's texts.
ALLOWED = (
    "--utilisation",
    "--spectra-utilisation",
    '"utilisation"',
    '"spectra_utilisation"',
    "aria-labelledby",
    ".cancelled()",
    "The colours fade",
    "|thus|hence|",
)


def texts() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (file for file in sorted((ROOT / folder).rglob("*")) if file.suffix in SUFFIXES)
    yield from (ROOT / file for file in FILES)


def without_allowed(line: str) -> str:
    return reduce(lambda text, phrase: text.replace(phrase, ""), ALLOWED, line)


@pytest.mark.parametrize("instead", PATTERNS)
def test_the_product_is_written_in_plain_english(instead: str) -> None:
    pattern = re.compile(PATTERNS[instead])
    hits = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in texts()
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if pattern.search(without_allowed(line))
    ]
    assert hits == []


@pytest.mark.parametrize(
    ("instead", "phrase"),
    [
        ("per", "a row an item"),
        ("is not a", "The address X is none."),
        ("fix, nothing, compute, again, extreme", "mend that"),
        ("is missing", "where one lacks"),
        ("distinguish", "told apart from"),
        ("resume", "goes on where it stopped"),
        ("retry", "what may pass is tried again"),
        ("a noun", "that which is asked for"),
        ("American spelling", "normalised colours"),
    ],
)
def test_the_old_phrases_would_be_found(instead: str, phrase: str) -> None:
    assert re.search(PATTERNS[instead], phrase)
