"""Choose the number in the unit that a question asks for: "2 hours, or 120 minutes"."""

import re

from gradpipe.responses.final_answer.units import unit_name, unit_ratio

_ASKED = re.compile(
    r"(?i)\bhow (?:many|much)(?: more| fewer| less| total| additional)? ([a-z]{3,})"
    r"|\bin (minutes|hours|days|weeks|months|years|seconds|cents|dollars|meters|met(?:er|re)s"
    r"|kilometers|cm"
    r"|centimeters|inches|feet|miles|grams|kilograms|percent)\b"
)
#: "1 hour is", "every kilometre has": a rule of conversion follows.
_CONVERTS = re.compile(
    r"(?i)(?:(?<![\d.,])(?:1|one|an?|every|each|per)\s+[a-z]+\s*(?:=|≈|is|are|has|have"
    r"|equals|contains)"
    r"(?: to| equal to)?)\s*$"
)
#: What stands before a further factor of a product, or a further term of a sum.
_FACTOR = re.compile(r"(?:[×*·⋅÷+/]|\\times|\\cdot|\\div|\d[a-z ]*\s[-x])[\s\\$({]*$")

_MULTIPLIED = re.compile(r"\s*[a-z]+\s*(?:[×*·⋅÷+/]|\\times|\\cdot|\\div)")


def with_asked_unit(line: str, matches: list[re.Match[str]], question: str) -> re.Match[str] | None:
    """The number in the unit that the question asks for, if another one has another such unit.

    "2 hours, or 120 minutes" is 120 where a question asks for minutes. What a unit is in another
    one, as "1 hour = 60 minutes", is left out.
    """
    asked = unit_name(asked_unit(question))
    if not asked:
        return None
    units = [unit_name(unit_behind(line, match)) for match in matches]
    if not any(unit and unit != asked and unit_ratio(unit, asked) for unit in units):
        return None
    fitting = [
        match
        for match, unit in zip(matches, units, strict=True)
        if unit == asked and not _CONVERTS.search(line[: match.start()])
    ]
    # "9 weeks = 9 × 7 days = 63 days" states the result.
    results = [
        m
        for m in fitting
        if not _FACTOR.search(line[: m.start()]) and not _MULTIPLIED.match(line, m.end())
    ]
    fitting = results or fitting
    # "21:45 - 19:30 = 2 h 15 min, so it lasts 135 minutes" states the last one.
    concluded = [m for m in fitting if re.search(r", (?:so|thus|hence|then)\b", line[: m.start()])]
    return next(iter(concluded or fitting), None)


def asked_unit(question: str) -> str:
    """The unit or the thing that a question asks for, in lowercase; empty if it names none."""
    asked = _ASKED.findall(question)
    return (asked[-1][0] or asked[-1][1]).casefold() if asked else ""


def unit_behind(line: str, match: re.Match[str]) -> str:
    """The word behind a number, in lowercase; empty if it cannot be a unit."""
    unit = re.match(r"[\s\\{*$)]*(?:[a-z]*\\text\{\s*)?([A-Za-z]{2,})", line[match.end() :])
    word = unit[1].casefold() if unit else ""
    return "" if word in ("or", "and", "is", "text", "because", "since", "in", "as") else word
