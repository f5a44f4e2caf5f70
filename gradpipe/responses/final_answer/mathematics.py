"""Compare formulas: by their form, by their numbers, by their parts, then by math-verify."""

import logging
import re
from collections import Counter
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from gradpipe.responses.final_answer.numbers import value

# Beyond these limits the algebra may never finish: powers of powers, long exponents, large
# factorials, sums and integrals.
_LONG = 200
#: Terms with more variables are not tried out; values closer than this are equal.
_MOST_VARIABLES, _CLOSE = 4, 1e-9
_HUGE = re.compile(
    r"\^\s*(?:\{[^{}]*\^|\w\s*\^)|(?:\^|\*\*)\s*\{?-?\d{4,}|\d{4,}\s*!|\\[dt]?binom\{\d{4,}"
    r"|\\(?:int|sum|prod|lim)(?![a-z])|\d{40}"
)
_WORDS = r"\\(?:text|textbf|textrm|textit|mathrm|mbox|mathbf|mathit|operatorname)\s*"
_SPACES = re.compile(
    r"(?<!\\)\\[,;!: ]|\\q?quad(?![a-z])|~|\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?)(?![a-z])"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°|\\degree|\\displaystyle")
_OTHER_FRACTION = re.compile(r"\\[dtc]frac")
_SHORT_FRACTION = re.compile(
    r"\\frac\s*(\d)\s*(\d)|\\frac\s*(\{[^{}]*\})\s*(\w)|\\frac\s*(\w)\s*(\{[^{}]*\})"
)
_NAMED = re.compile(
    r"^\s*(?:[A-Za-z]\w*|\\[a-z]+|[A-Za-z](?:'|_\{?\w+\}?)?\([^()=]*\))\s*(?:=|\\in(?![a-z])"
    r"|:(?!\s*\d))\s*"
)
_MIXED = re.compile(r"(?<![\d^{.])(\d+)\s*(\\frac\{\d+\}\{\d+\})")
_POWERS: dict[int, str] = {ord("²"): "^2", ord("³"): "^3", ord("⁴"): "^4", ord("⁵"): "^5"}
#: An interval that excludes an end by a bracket that faces away, as "]0, 5["; or any other.
_FRENCH = re.compile(
    r"(?:\\left\s*)?([\[\]])(\s*[^\[\](),;\s][^\[\](),;]*[,;][^\[\](),;]*[^\[\](),;\s]\s*)"
    r"([\[\]])"
)
#: A product of powers, as of a number's factorization.
_FACTORED = re.compile(r"\d+(?:\^\{?\d+\}?)?(?:\s*\\(?:cdot|times)\s*\d+(?:\^\{?\d+\}?)?)+")
_SMALL_PRIME = "2|3|5|7|1[1379]|2[39]|3[17]|4[137]|5[39]|6[17]|7[139]|8[39]|97"
#: The brackets and the members of a list; None for a single value.
_Parts = tuple[str, list[str]] | None
_PAIRS = {"(": ")", "[": "]", "\\{": "\\}"}


def equal_formulas(found: str, gold: str) -> bool:
    """Whether two formulas are mathematically equal; False if comparing would take too long."""
    found, gold = _tidy(found), _tidy(gold)
    if wanted := _prime_factors(gold):
        return _prime_factors(found) == wanted
    return _equal(found, gold)


def _prime_factors(formula: str) -> Counter[int] | None:
    """The primes of a product of prime powers; None for another formula, also an equal one."""
    if not _FACTORED.fullmatch(formula):
        return None
    factors: Counter[int] = Counter()
    for base, power in re.findall(r"(\d+)(?:\^\{?(\d+)\}?)?", formula):
        if not re.fullmatch(_SMALL_PRIME, base):
            return None
        factors[int(base)] += int(power or 1)
    return factors


def _equal(found: str, gold: str) -> bool:
    if re.sub(r"\s", "", found) == re.sub(r"\s", "", gold):
        return bool(gold)
    numbers = value(found), value(gold)
    if None not in numbers and "," not in found + gold:
        return numbers[0] == numbers[1]
    mine, theirs = _named(found), _named(gold)
    if mine[0] and theirs[0] and mine[0] != theirs[0] and mine[1].count("=") == 0:
        # "x = 2" is not "y = 2"; an equation in other terms may be the same curve.
        return bool(_variables(mine[1]) and _variables(theirs[1])) and _by_algebra(found, gold)
    found, gold = mine[1], theirs[1]
    first, second = _parts(found), _parts(gold)
    if first and second:
        return _equal_parts(first, second)
    if first or second:
        return _list_equals_one(first, second, found, gold)
    return _by_algebra(found, gold)


def _list_equals_one(first: _Parts, second: _Parts, found: str, gold: str) -> bool:
    """Whether a list and a single formula are the same."""
    single = gold if first else found
    if first and first[0] == "" and not re.search(r"\\pm|\\mp|±", gold):
        # "0.8 or 4/5": both are the one answer.
        return all(_equal(one, gold) for one in first[1])
    # A single value never equals a list; "x > 3" is an interval, and ± is two values.
    several = re.search(r"[<>]|\\(?:[lg]eq?|pm|mp|cup|neq?|infty)(?![a-z])|±|[≤≥\u222a]", single)
    return bool(several) and _by_algebra(found, gold)


def _named(formula: str) -> tuple[str, str]:
    """The name that an equation gives its right side, if it is one, and the right side."""
    name = _NAMED.match(formula)
    if not name or "=" in formula[name.end() :]:
        return "", formula
    return re.sub(r"[\s=:]|\\in$|\(.*\)", "", name[0]), formula[name.end() :]


def _variables(formula: str) -> bool:
    return bool(re.search(r"(?<![a-zA-Z\\])[a-z](?![a-z])", formula))


def _equal_parts(first: tuple[str, list[str]], second: tuple[str, list[str]]) -> bool:
    """Whether two lists are equal: in order within parentheses, in any order otherwise."""
    (kind, mine), (other, theirs) = first, second
    unordered = {"", "\\{\\}"}
    if {kind, other} <= unordered:
        mine, theirs = list(dict.fromkeys(mine)), list(dict.fromkeys(theirs))
    if len(mine) != len(theirs) or (kind != other and not {kind, other} <= unordered):
        return False
    if kind not in unordered:
        return all(_equal(one, two) for one, two in zip(mine, theirs, strict=True))
    left = list(theirs)
    for one in mine:
        same = next((two for two in left if _equal(one, two)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _parts(formula: str) -> _Parts:
    """The brackets and the members of a tuple, interval, set or list; None for one value."""
    formula = formula.strip()
    kind = ""
    for opening, own in _PAIRS.items():
        for closing in _PAIRS.values():
            if formula.startswith(opening) and formula.endswith(closing):
                inner = formula[len(opening) : -len(closing)]
                if (_balanced(inner) and own == closing) or _half_open(opening, closing, inner):
                    kind, formula = opening + closing, inner
    members = _split(formula)
    if kind in ("", "()") and len(members) < 2:
        return None
    if len(members) < 2 and kind != "\\{\\}":
        return None
    return kind, [member.strip() for member in members]


def _half_open(opening: str, closing: str, inner: str) -> bool:
    return {opening, closing} <= {"(", "[", ")", "]"} and _balanced(inner)


def _balanced(text: str) -> bool:
    depth = 0
    for sign in re.findall(r"[(\[\])]", text):
        depth += 1 if sign in "([" else -1
        if depth < 0:
            return False
    return depth == 0


def _split(text: str) -> list[str]:
    """Divide at the commas outside of all brackets, and at "and" and "or"."""
    text = re.sub(r"(?<![a-zA-Z])(?:,?\s*(?:and|or)|;)(?![a-zA-Z])", ",", text)
    members, depth, begin = [], 0, 0
    for found in re.finditer(r"[(\[{)\]},]", text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(found[0], 0)
        if found[0] == "," and depth <= 0:
            members.append(text[begin : found.start()])
            begin = found.end()
    members.append(text[begin:])
    return [member for member in members if member.strip()]


def _by_algebra(found: str, gold: str) -> bool:
    if max(len(found), len(gold)) > _LONG or _HUGE.search(found) or _HUGE.search(gold):
        return False
    mine, theirs = _parsed(found), _parsed(gold)
    if _math_verify().verify(theirs, mine, timeout_seconds=None):
        return True
    return bool(mine and theirs) and _same_everywhere(mine[0], theirs[0])


def _same_everywhere(first: Any, second: Any) -> bool:
    """Whether two terms have equal values wherever their variables have; a test at three points.

    math-verify misses some equal terms, as ``\\frac{14i}{25}`` and ``\\frac{14}{25}i``.
    """
    sympy = import_module("sympy")
    if not (isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr)):
        return False
    mine, theirs = ({str(name) for name in term.free_symbols} for term in (first, second))
    if not mine or mine != theirs or len(mine) > _MOST_VARIABLES:
        return False
    # Symbols of one name may differ in what is assumed of them.
    order = sorted(first.free_symbols | second.free_symbols, key=str)
    for point in (0.7310585786, 1.6180339887, 2.9979245801):
        values = {name: point + sorted(mine).index(str(name)) / 7 for name in order}
        difference = abs(sympy.N((first - second).subs(values)))
        if not (difference.is_number and difference < _CLOSE):
            return False
    return True


@lru_cache(maxsize=4096)
def _tidy(formula: str) -> str:
    """One way to write what LaTeX writes in many."""
    text = formula.strip().strip("$").strip()
    text = re.sub(r"^(?:\\approx|≈)\s*", "", text)
    text = _FRENCH.sub(_in_parentheses, text)
    text = re.sub(r"^\{([^{}\\]+)\}$", r"\\{\1\\}", text)
    text = re.sub(r"^\\[(\[]\s*|\s*\\[)\]]$", "", text)
    text = text.replace("\\{,\\}", "").replace("{,}", "").replace("{\\,}", "")
    text = (
        re.sub(r"(?<=\d)(?:\\[,!]|,)(?=\d{3}(?!\d))(?<![(\[]\d)", "", text)
        if "(" not in text
        else text
    )
    text = _DEGREES.sub("", _SPACES.sub(" ", text)).replace("\\%", "%").replace("\\$", "")
    text = _OTHER_FRACTION.sub(r"\\frac", text).replace("\\cdotp", "\\cdot")
    for _ in range(2):
        text = _SHORT_FRACTION.sub(_braced, text)
    text = re.sub(r"\\sqrt\s*(\w)", r"\\sqrt{\1}", text)
    text = re.sub(
        r"√\s*(\d+|\w)|√\(([^()]*)\)", lambda root: f"\\sqrt{{{root[1] or root[2]}}}", text
    )
    text = (
        text.replace("\\langle", "(")
        .replace("\\rangle", ")")
        .replace("π", "\\pi ")
        .replace("∞", "\\infty ")
        .replace("∅", "\\emptyset ")
        .replace("\u222a", "\\cup ")
    )
    text = (
        text.replace("≤", "\\le ")
        .replace("≥", "\\ge ")
        .replace("±", "\\pm ")
        .replace("×", "\\times ")
        .replace("·", "\\cdot ")
        .replace("⋅", "\\cdot ")
    )
    text = re.sub(r"\^-(\w)", r"^{-\1}", text.translate(_POWERS))
    text = re.sub(r"\\(le|ge|ne)q(?![a-z])", r"\\\1", text)
    text = re.sub(r"\\varnothing(?![a-z])|\\\{\s*\\\}|^(?:the )?empty set$", r"\\emptyset ", text)
    text = re.sub(r"\\text\s*\{\s*(,?\s*(?:and|or),?)\s*\}", r" \1 ", text)
    # A unit behind the value says nothing more about it; a word alone is the value.
    text = re.sub(rf"(?<=[\d)}}\w])\s*{_WORDS}\{{\s*[^{{}}]*\}}(?:\^\{{?[23]\}}?)?\s*$", "", text)
    text = re.sub(rf"{_WORDS}\{{([^{{}}]*)\}}", r"\1", text)
    text = _MIXED.sub(_as_sum, text)
    return " ".join(text.split()).rstrip(" .,")


def _in_parentheses(interval: re.Match[str]) -> str:
    opening = "(" if interval[1] == "]" else "["
    return f"{opening}{interval[2]}{')' if interval[3] == '[' else ']'}"


def _braced(fraction: re.Match[str]) -> str:
    top, below = (part.strip("{}") for part in fraction.groups() if part is not None)
    return f"\\frac{{{top}}}{{{below}}}"


def _as_sum(mixed: re.Match[str]) -> str:
    """``2\\frac{1}{3}`` as one fraction; math-verify reads some of them as products."""
    total = value(mixed[0])
    return mixed[0] if total is None else f"\\frac{{{total.numerator}}}{{{total.denominator}}}"


@lru_cache(maxsize=4096)
def _parsed(formula: str) -> list[Any]:
    library = _math_verify()
    return list(
        library.parse(f"${formula}$", [library.LatexExtractionConfig()], parsing_timeout=None)
    )


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
