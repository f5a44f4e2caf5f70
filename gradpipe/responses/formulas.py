"""Parse the numbers and formulas in a text and compare them."""

import logging
import re
from fractions import Fraction
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

#: A pattern: ``-3.50``, ``1,200``, ``14{,}000``, ``.5``.
NUMBER = r"-?(?:\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?!\d)|\d+)(?:\.\d+)?|-?\.\d+"

_FRACTION = r"\\[dt]?frac\{\d+\}\{\d+\}|\d+\s?/\s?\d+"
_RATIONAL = re.compile(r"[-+]?(?:\d+(?:/\d+)?|\d*\.\d+|\d+\.)")
_MARKUP = re.compile(
    r"\*\*|\\[()\[\]]|\$|\\(?:text|textbf|mathrm|mbox|mathbf)\b|\\[,;!: ]|\\left|\\right|\^\\circ"
    r"|\^\{\\circ\}|\\displaystyle|\\%"
)
# Beyond these limits the algebra may never finish: powers of powers, long exponents, large
# factorials, sums and integrals.
_LONG = 200
_HUGE = re.compile(
    r"\^\s*\{?[^{}]*\^|(?:\^|\*\*)\s*\{?-?\d{4,}|\d{4,}\s*!|\\[dt]?binom\{\d{4,}"
    r"|\\(?:int|sum|prod|lim)(?![a-z])"
)


def numbers(text: str) -> list[str]:
    """Find the numbers and simple fractions in ``text``, as written."""
    return re.findall(rf"(?<![\w.^])(?:{_FRACTION}|{NUMBER})", text)


def value(text: str) -> Fraction | None:
    """The number that ``text`` states; None if it is not a number.

    Money and percentages are read by their digits.
    """
    bare = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text.strip())
    bare = re.sub(r"[$€£₹%\s]|\\[,%$ ]|\{,\}|(?<=\d),(?=\d{3})", "", bare)
    try:
        return Fraction(bare) if len(bare) < 40 and _RATIONAL.fullmatch(bare) else None
    except ZeroDivisionError:
        return None


def without_markup(text: str) -> str:
    """``text`` without markup, quotes, outer punctuation and repeated spaces."""
    bare = _MARKUP.sub("", text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac"))
    unquoted = re.sub(r"[\"'“”’`{}]" if "\\" not in bare else r"[\"“”`]", "", bare)
    return " ".join(unquoted.split()).strip(" .:;!?,")


def equal_formulas(found: str, gold: str) -> bool:
    """Whether two formulas are mathematically equal; False if comparing would take too long."""
    if max(len(found), len(gold)) > _LONG or _HUGE.search(f"{found} {gold}"):
        return False
    return bool(_math_verify().verify(_parsed(gold), _parsed(found), timeout_seconds=None))


@lru_cache(maxsize=4096)
def _parsed(formula: str) -> list[Any]:
    library = _math_verify()
    bare = formula.strip().strip("$").strip()
    targets = [library.LatexExtractionConfig()]
    return list(library.parse(f"${bare}$", targets, parsing_timeout=None))


@cache
def _math_verify() -> ModuleType:
    """Import the library without its warning that its run time is unlimited.

    Its own timeout uses a signal, which only a main thread can set; _LONG and _HUGE replace it.
    """
    for module in ("parser", "grader"):
        logging.getLogger(f"math_verify.{module}").addFilter(
            lambda record: "Timeout is disabled" not in record.getMessage()
        )
    return import_module("math_verify")
