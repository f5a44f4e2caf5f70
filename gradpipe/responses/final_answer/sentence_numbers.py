"""Choose the number that a sentence is about, of all numbers in it."""

import re

from gradpipe.responses.final_answer.evidence import Evidence, FoundAnswer
from gradpipe.responses.final_answer.numbers import (
    NUMBER,
    UNITS,
    number_matches,
    numbers,
    value,
    with_multiple,
)
from gradpipe.responses.final_answer.units import common_sizes

EMPHASIS = re.compile(r"\*\*(.+?)\*\*|__(.+?)__|<b>(.+?)</b>")
#: A formula or a comparison in parentheses is a side remark.
_ASIDE = re.compile(r"(?<!\\)\((?=[^()\n]*(?:\d|\x01))(?:[^()\n\\]|\\[^)\n])*\)")
#: What makes a number part of a circumstance: "in 5 days", "for all 3 of them".
_ADJUNCT = re.compile(
    r"(?i)\b(?:in|for|after|over|during|within|per|every|each|from|by|on|at|than|with|until"
    r"|among|between"
    r"|(?<!total )(?<!sum )(?<!maximum )(?<!minimum )(?<!average )"
    r"(?<!mean )(?<!profit )(?<!value )of)"
    r"\s+(?:the |a |an |all |only |each |every |these |those |his |her |their |about |last "
    r"|first |next )*"
    r"[\s$\\(*]*$"
)
#: A number within a term: behind "x +", or before "x", π or a root.
_TERM_BEFORE = re.compile(
    r"(?:(?<![A-Za-z\\])[a-zA-Z]|[π)}])\s*[-+*/^×·]\s*[-$\\(]*$|\\(?:sqrt|log|ln|sin|cos"
    r"|tan)\s*[{(]?$|√$"
)
_TERM_AFTER = re.compile(
    r"\s*(?:\\(?:pi|sqrt|log|ln|sin|cos)(?![a-z])|[π√^]"
    r"|[xyznkabti](?![A-Za-z'])\s*(?:[-+*/^=)$,.}]|$))"
)
_TERM = re.compile(r"[^\s,;:=$]+(?:\s*[-+*/^×·]\s*[^\s,;:=$]+)*")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf|textit|mathit)\s*\{([^{}]*)\}")
_ASKED = re.compile(
    r"(?i)\bhow (?:many|much)(?: more| fewer| less| total| additional)? ([a-z]{3,})"
    r"|\bin (minutes|hours|days|weeks|months|years|seconds|cents|dollars|meters|met(?:er|re)s"
    r"|kilometers|cm"
    r"|centimeters|inches|feet|miles|grams|kilograms|percent)\b"
)


def concluded_number(sentence: str, before: str, question: str, evidence: Evidence) -> FoundAnswer:
    """The number that a concluding sentence concludes, of all numbers in it."""
    line = without_text_commands(sentence)
    if asked := with_asked_unit(line, number_matches(line), question):
        return number_answer(line, asked, evidence, before + sentence)
    line = without_asides(line)
    spans = [mark.span() for mark in EMPHASIS.finditer(line)]
    every = number_matches(line)
    bold = [m for m in every if any(start < m.start() < end for start, end in spans)]
    equals = line.rfind("=")
    named = bold or [m for m in every if m.start() > equals] or every
    text = before + sentence
    worked_out = re.findall(rf"=[^=\n\d-]{{0,12}}?({NUMBER})", before)
    if worked_out:
        same = [m for m in named if value(m[0]) == value(worked_out[-1])]
        if same:
            return number_answer(line, same[-1], evidence, text)
    if not bold and (first := _result(line, named, equals)):
        return number_answer(line, first, evidence, text)
    given = {value(number) for number in numbers(question)}
    main = [m for m in named if not _is_step(line, m) and not _ADJUNCT.search(line[: m.start()])]
    new = [m for m in main or named if value(m[0]) not in given]
    return number_answer(line, (new or main or named)[-1], evidence, text)


def _result(line: str, named: list[re.Match[str]], equals: int) -> re.Match[str] | None:
    """The number right behind the last "=", unless its clause is a reason or more follows."""
    if equals < 0 or not named or re.search(r"[\w]", line[equals + 1 : named[0].start()]):
        return None
    clause = re.split(r"[,;]\s", line[:equals])[-1]
    reason = r"(?i)\b(?:since|as|if|when|because|given|where|with|let|for|while|substitut\w+)\b"
    goes_on = (
        r"(?i)\b(?:is|are|makes?|gives?|leaves?|totals?|equals|so|have|has|gets?|becomes?"
        r"|need)\W+(?:\w+\W+){0,2}$"
    )
    rest = line[named[0].end() : named[-1].start()]
    if (
        re.search(r"(?i),? (?:so|which|therefore|thus)\b", rest)
        or re.search(reason, clause)
        or any(re.search(goes_on, line[: m.start()]) for m in named[1:])
    ):
        return None
    return named[0]


def _is_step(line: str, match: re.Match[str]) -> bool:
    """Whether a number only counts steps or lines: "Step 3", "2."."""
    return bool(
        re.search(r"(?i)(?:\bstep|\bequation|\bpart|\bquestion|#)\s*$", line[: match.start()])
        or (not line[: match.start()].strip("\n *_-") and re.match(r"[.)]\s", line[match.end() :]))
    )


def number_answer(line: str, match: re.Match[str], evidence: Evidence, text: str) -> FoundAnswer:
    """The number of ``match`` with its percent sign, multiple and sign; or the term around it."""
    written = match[0]
    number = written
    # One dot before three digits separates thousands where the text writes decimal commas.
    near = line[max(0, match.start() - 3) : match.end() + 8]
    continental = re.search(r"\d\.\d{3},\d|(?<![\d,])\d+,\d{1,2}(?![\d,])", text)
    if re.fullmatch(r"-?\d{1,3}\.\d{3}", written) and (
        continental or re.search(r"€|(?i:\beuro|\bEUR\b)", near)
    ):
        number = written.replace(".", "")
    if re.search(r"(?i)(?:零下|マイナス|\bminus|\bnegative)[\s$\\(*]*$", line[: match.start()]):
        number = f"-{number.lstrip('-')}"
    if evidence != "box" and (term := _term_around(line, match)):
        return FoundAnswer(term, evidence, term)
    answer = with_multiple(number, line[match.end() :])
    return FoundAnswer(answer, evidence, written, _unit_of(line, match) if answer == number else "")


def _unit_of(line: str, match: re.Match[str]) -> str:
    money = re.search(r"[$€£¥]$", line[: match.start()].rstrip("\\ "))
    behind = re.match(rf"[\s\\*$)]*({UNITS})", line[match.end() :])
    if behind:
        return behind[1].split()[0].rstrip(".")
    return "dollars" if money and money[0] == "$" else ""


def _term_around(line: str, match: re.Match[str]) -> str | None:
    """The term that the number is only a part of, as "x + 2" or "2π"; None if it stands alone."""
    before, behind = line[: match.start()], line[match.end() :]
    if not _TERM_BEFORE.search(before) and not _TERM_AFTER.match(behind):
        return None
    terms = [term for term in _TERM.finditer(line) if term.start() <= match.start() < term.end()]
    return terms[0][0].strip(" .*") if terms else None


def without_asides(line: str) -> str:
    """``line`` without the remarks in parentheses, unless nothing else has a number."""
    blank = _ASIDE.sub(lambda aside: "\x02" * len(aside[0]), line)
    return blank if numbers(blank) else line


def without_text_commands(line: str) -> str:
    """``line`` with the words of each ``\\text{}`` in place of the command; places stay."""
    return _TEXT.sub(_same_length, line)


def _same_length(words: re.Match[str]) -> str:
    """The words of a ``\\text{}``, with spaces for the command, so that places stay."""
    inner = words.start(1) - words.start()
    return " " * inner + words[1] + " " * (len(words[0]) - inner - len(words[1]))


def with_asked_unit(line: str, matches: list[re.Match[str]], question: str) -> re.Match[str] | None:
    """The number in the unit that the question asks for, if another one has another such unit.

    "2 hours, or 120 minutes" is 120 where a question asks for minutes.
    """
    asked = _ASKED.findall(question)
    stem = (asked[-1][0] or asked[-1][1]).casefold().rstrip("s") if asked else ""
    units = [unit_behind(line, match).rstrip("s") for match in matches] if stem else []
    if not any(unit != stem and common_sizes(unit, stem) for unit in units):
        return None
    return next((match for match, unit in zip(matches, units, strict=True) if unit == stem), None)


def unit_behind(line: str, match: re.Match[str]) -> str:
    """The word behind a number, in lowercase; empty if it cannot be a unit."""
    unit = re.match(r"[\s\\{*$)]*(?:[a-z]*\\text\{\s*)?([A-Za-z]{2,})", line[match.end() :])
    word = unit[1].casefold() if unit else ""
    return "" if word in ("or", "and", "is", "text", "because", "since", "in", "as") else word
