"""Find the number that a response ends on."""

import re

from gradpipe.responses.final_answer.evidence import (
    Evidence,
    FoundAnswer,
    Mark,
    endings,
    marks,
    without_denied,
)
from gradpipe.responses.final_answer.numbers import (
    NUMBER,
    UNITS,
    number_matches,
    numbers,
    spelled_number,
    value,
    with_multiple,
)

#: What may stand between "the answer is" and the number.
_DIRECT = re.compile(
    r"(?i)(?:[^\w\x01\x02]|\\(?:text|mathrm|mathbf|textbf|approx|boxed|quad|left|dfrac|frac)\b"
    r"|\b(?:approximately|about|around|roughly|exactly|simply|just|only|therefore|thus|indeed|equal"
    r"|equals|to|that|there|are|is|be|a|an|the|total|sum|of|so|then|he|she|it|they|we|has|have|had"
    r"|rs|usd|eur|us|[a-z])\b)*"
)
_CONCLUDES = re.compile(
    r"(?i)\W*(?:therefore|thus|hence|so\b|conclusion|in conclusion|in total|in summary|finally"
    r"|overall|altogether|consequently|(?:this|that|which) means|as a result|所以|因此|故|よって|したがって|つまり)"
)
#: Characters from the end within which a statement may reach its number by a detour.
_TAIL = 600
_STEP = re.compile(r"\s*(?:[-*•]\s|\d{1,2}[.)]\s)")
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__|<b>(.+?)</b>")
#: A formula or a comparison in parentheses is a side remark.
_ASIDE = re.compile(r"(?<!\\)\((?=[^()\n]*(?:\d|\x01))(?:[^()\n\\]|\\[^)\n])*\)")
#: A sentence that only checks what was concluded before it.
_CHECKS = re.compile(
    r"(?i)\W*(?:(?:we|you) can |let(?:'s| us|me| me) |to |as a )?(?:double-?)?(?:check|verif|confirm that"
    r"|note\b|recall|sanity|proof|this (?:checks|makes sense|is because))"
)
#: What makes a number part of a circumstance: "in 5 days", "for all 3 of them".
_ADJUNCT = re.compile(
    r"(?i)\b(?:in|for|after|over|during|within|per|every|each|from|by|on|at|than|with|until|among|between"
    r"|(?<!total )(?<!sum )(?<!maximum )(?<!minimum )(?<!average )(?<!mean )(?<!profit )(?<!value )of)"
    r"\s+(?:the |a |an |all |only |each |every |these |those |his |her |their |about |last |first |next )*"
    r"[\s$\\(*]*$"
)
#: A number within a term: behind "x +", or before "x", π or a root.
_TERM_BEFORE = re.compile(r"(?:(?<![A-Za-z\\])[a-zA-Z]|[π)}])\s*[-+*/^×·]\s*[-$\\(]*$|\\(?:sqrt|log|ln|sin|cos|tan)\s*[{(]?$|√$")
_TERM_AFTER = re.compile(
    r"\s*(?:\\(?:pi|sqrt|log|ln|sin|cos)(?![a-z])|[π√^]|[xyznkabti](?![A-Za-z'])\s*(?:[-+*/^=)$,.}]|$))"
)
_TERM = re.compile(r"[^\s,;:=$]+(?:\s*[-+*/^×·]\s*[^\s,;:=$]+)*")
_CALCULATES = re.compile(
    r"[\s\\$)]*(?:[a-z]+\s*)?(?:[-+*/×·÷^(]|\\(?:times|cdot|div)(?![a-z]))[^;,A-Z]*?="
)
_IN_MANY = re.compile(r"(?i)\b(?:how many|in|number of) (hundred|thousand|million|billion|trillion)s?\b")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf|textit|mathit)\s*\{([^{}]*)\}")
_ASKED = re.compile(
    r"(?i)\bhow (?:many|much)(?: more| fewer| less| total| additional)? ([a-z]{3,})"
    r"|\bin (minutes|hours|days|weeks|months|years|seconds|cents|dollars|meters|metres|kilometers|cm"
    r"|centimeters|inches|feet|miles|grams|kilograms|percent)\b"
)
_OR = re.compile(r"(?i)\s*(?:[a-z]+\s+)?(?:or|and|,)\s+(?:[$€£\\(]*)$")


def find_number(text: str, question: str) -> FoundAnswer | None:
    """The number that ``text`` ends on; a formula where its box or its statement holds one."""
    found = _find_number(text, question)
    asked = _IN_MANY.search(question)
    if found and asked and found.answer.endswith(f" {asked[1].casefold()}"):
        return found._replace(answer=found.answer.rsplit(" ", 1)[0])
    return found


def _find_number(text: str, question: str) -> FoundAnswer | None:
    readable = without_denied(text)
    found = marks(readable)
    for direct in (True, False):
        for mark in found:
            answer = _in_mark(mark, readable, question, direct)
            if answer is not None:
                return answer
    return _in_endings(readable, question)


def _in_mark(mark: Mark, text: str, question: str, direct: bool) -> FoundAnswer | None:
    if mark.evidence == "box":
        return _boxed(mark.passage, text, question) if direct else None
    if _lists_steps(mark, text) or (not direct and mark.end < len(text) - _TAIL):
        return None
    passage = re.sub(r"^(?:\\\[|\\\(|\$\$|\s|\*|\\n)+", "", mark.passage).split("\n")[0]
    whole = _TEXT.sub(_same_length, passage)
    if asked := _with_asked_unit(whole, number_matches(whole), question):
        return _answer(whole, asked, mark.evidence, text)
    line = _without_asides(whole)
    matches = number_matches(line)
    if not matches:
        spelled = spelled_number(line) if direct and len(line.split()) < 12 else None
        return FoundAnswer(str(spelled[1]), mark.evidence, spelled[0]) if spelled else None
    if direct != bool(_DIRECT.fullmatch(line[: matches[0].start()])):
        return None
    if len(matches) == 1:
        return _answer(line, matches[0], mark.evidence, text)
    if direct:
        return _first_of_several(line, matches, mark, text, question)
    return _concluded(line, text[: mark.start], question, mark.evidence)


def _lists_steps(mark: Mark, text: str) -> bool:
    """Whether steps follow in place of an answer: "To answer this:", a line break and "1."."""
    broken = "\n" in text[mark.start : mark.end]
    return broken and bool(re.match(r"(?:\d{1,2}[.)]|Step \d+)\s", mark.passage))


def _first_of_several(
    line: str, matches: list[re.Match[str]], mark: Mark, text: str, question: str
) -> FoundAnswer:
    """The first number of a statement; all of them where it does not decide between them."""
    first, second = matches[0], matches[1]
    before = text[: mark.start]
    result = line.find("=", first.end())
    if result >= 0 and _CALCULATES.match(line, first.end()):
        return _concluded(line, before, question, mark.evidence)
    between = line[first.end() : second.start()]
    if asked := _with_asked_unit(line, matches, question):
        return _answer(line, asked, mark.evidence, text)
    if _OR.fullmatch(between):
        mine, other = (
            value(with_multiple(m[0], line[m.end() :]).replace("%", "")) for m in (first, second)
        )
        unit, unit_two = (_unit_behind(line, match) for match in (first, second))
        share = mine is not None and other is not None and other in (mine * 100, mine / 100)
        if mine != other and not share and (unit == unit_two or not unit) and " and " not in unit:
            joined = line[first.start() : second.end()]
            return FoundAnswer(joined, mark.evidence, joined)
    return _answer(line, first, mark.evidence, text)


def _with_asked_unit(
    line: str, matches: list[re.Match[str]], question: str
) -> re.Match[str] | None:
    """The only number with the unit that the question asks for, if the first has another unit."""
    asked = _ASKED.findall(question)
    stem = (asked[-1][0] or asked[-1][1]).casefold().rstrip("s") if asked else ""
    if not stem or len(matches) < 2 or not _unit_behind(line, matches[0]):
        return None
    fitting = [match for match in matches if _unit_behind(line, match).startswith(stem)]
    return fitting[0] if fitting and fitting[0] is not matches[0] else None


def _unit_behind(line: str, match: re.Match[str]) -> str:
    unit = re.match(r"[\s\\{*$)]*(?:[a-z]*\\text\{\s*)?([A-Za-z]{2,})", line[match.end() :])
    word = unit[1].casefold() if unit else ""
    return "" if word in ("or", "and", "is", "text", "because", "since", "in", "as") else word


def _boxed(content: str, text: str, question: str) -> FoundAnswer | None:
    if not content:
        return None
    bare = _TEXT.sub(lambda words: f" {words[1]} ", content)
    bare = re.sub(
        r"\\[,;!]\s*(?!\d{3})|\\displaystyle|\\left|\\right|\^\{?\\circ\}?|[°$]", " ", bare
    )
    bare = re.sub(r"\\([$%€£])", r"\1", bare).rsplit("=", 1)[-1]
    bare = re.split(r"\\approx|≈", bare)[0] or bare
    matches = number_matches(bare)
    if len(matches) == 1:
        rest = bare[: matches[0].start()] + " " + bare[matches[0].end() :]
        rest = re.sub(r"\\?%|\\\$|[$€£¥]|\b[A-Za-z]{2,}\b|\b[A-Za-z]+[²³]|\^\{?[23]\}?", " ", rest)
        if not re.search(r"[\\^_+*/]|\d", rest) and not _VARIABLE.search(rest.strip()):
            return _answer(bare, matches[0], "box", text)
        if re.fullmatch(r"\s*[a-zA-Z]\s*", rest):
            unit = bare[matches[0].end() :].strip()
            if unit and unit in re.findall(r"[A-Za-z]+", question):
                return _answer(bare, matches[0], "box", text)
            if content.find("\\text") >= 0 or content.find("\\mathrm") >= 0:
                return _answer(bare, matches[0], "box", text)
    if not matches and (spelled := spelled_number(bare)):
        return FoundAnswer(str(spelled[1]), "box", spelled[0])
    if len(matches) > 1 and re.search(r"(?i)\\?text|\bor\b|[a-z]{3,} ", content):
        asked = _with_asked_unit(bare, matches, question)
        words = re.search(r"\d[^\d]*[a-z]{3,}[^\d]*\d", bare) and "\\" not in bare
        if asked or words:
            return _answer(bare, asked or matches[0], "box", text)
    return FoundAnswer(content, "box", content)


def _in_endings(text: str, question: str) -> FoundAnswer | None:
    last = [
        (sentence, before)
        for sentence, before in endings(text)
        if numbers(_TEXT.sub(_same_length, sentence)) and not _denies(sentence)
    ]
    last = [ending for ending in last[:4] if not _CHECKS.match(ending[0])] or last
    if not last:
        found = next((w for s, _ in [*endings(text)][:2] if (w := spelled_number(s))), None)
        return FoundAnswer(str(found[1]), "last", found[0]) if found else None
    chosen = _settling(last[:3])
    evidence: Evidence = "conclusion" if _CONCLUDES.match(chosen[0]) else "last"
    return _concluded(*chosen, question, evidence)


def _settling(last: list[tuple[str, str]]) -> tuple[str, str]:
    """The sentence that settles on a number: the last one, unless one before it concludes."""
    final = last[0][0]
    if _BOLD.search(final) and numbers(" ".join(map("".join, _BOLD.findall(final)))):
        return last[0]
    if not _STEP.match(final) and re.search(r"(?i)\b(?:conclude|confirm|total of)\b", final):
        return last[0]
    concluding = [ending for ending in last if _CONCLUDES.match(ending[0])]
    if concluding and concluding[0] is not last[0] and "=" in final and not _STEP.match(final):
        # "So he writes 12 a week. 12 * 52 = 624": the last sentence goes on from there.
        used = {value(number) for number in numbers(final)}
        if any(value(number) in used for number in numbers(concluding[0][0])):
            return last[0]
    return (concluding or last)[0]


def _denies(sentence: str) -> bool:
    """Whether a sentence only says what the answer is not."""
    return "\x01" in sentence and not numbers(sentence)


def _concluded(sentence: str, before: str, question: str, evidence: Evidence) -> FoundAnswer:
    """The number that a concluding sentence concludes, of all numbers in it."""
    line = _TEXT.sub(_same_length, sentence)
    if asked := _with_asked_unit(line, number_matches(line), question):
        return _answer(line, asked, evidence, before + sentence)
    line = _without_asides(line)
    spans = [mark.span() for mark in _BOLD.finditer(line)]
    every = number_matches(line)
    bold = [m for m in every if any(start < m.start() < end for start, end in spans)]
    equals = line.rfind("=")
    named = bold or [m for m in every if m.start() > equals] or every
    text = before + sentence
    worked_out = re.findall(rf"=[^=\n\d-]{{0,12}}?({NUMBER})", before)
    if worked_out:
        same = [m for m in named if value(m[0]) == value(worked_out[-1])]
        if same:
            return _answer(line, same[-1], evidence, text)
    if not bold and (first := _result(line, named, equals)):
        return _answer(line, first, evidence, text)
    given = {value(number) for number in numbers(question)}
    main = [m for m in named if not _is_step(line, m) and not _ADJUNCT.search(line[: m.start()])]
    new = [m for m in main or named if value(m[0]) not in given]
    return _answer(line, (new or main or named)[-1], evidence, text)


def _result(line: str, named: list[re.Match[str]], equals: int) -> re.Match[str] | None:
    """The number right behind the last "=", unless its clause is a reason or more follows from it."""
    if equals < 0 or not named or re.search(r"[\w]", line[equals + 1 : named[0].start()]):
        return None
    clause = re.split(r"[,;]\s", line[:equals])[-1]
    reason = r"(?i)\b(?:since|as|if|when|because|given|where|with|let|for|while|substitut\w+)\b"
    goes_on = r"(?i)\b(?:is|are|makes?|gives?|leaves?|totals?|equals|so|have|has|gets?|becomes?|need)\W+(?:\w+\W+){0,2}$"
    rest = line[named[0].end() : named[-1].start()]
    if re.search(r"(?i),? (?:so|which|therefore|thus|hence)\b", rest) or re.search(reason, clause) or any(re.search(goes_on, line[: m.start()]) for m in named[1:]):
        return None
    return named[0]


def _is_step(line: str, match: re.Match[str]) -> bool:
    """Whether a number only counts steps or lines: "Step 3", "2."."""
    return bool(
        re.search(r"(?i)(?:\bstep|\bequation|\bpart|\bquestion|#)\s*$", line[: match.start()])
        or (not line[: match.start()].strip("\n *_-") and re.match(r"[.)]\s", line[match.end() :]))
    )


def _answer(line: str, match: re.Match[str], evidence: Evidence, text: str) -> FoundAnswer:
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
    return behind[1].split()[0].rstrip(".") if behind else "dollars" if money and money[0] == "$" else ""


def _term_around(line: str, match: re.Match[str]) -> str | None:
    """The term that the number is only a part of, as "x + 2" or "2π"; None if it stands alone."""
    before, behind = line[: match.start()], line[match.end() :]
    if not _TERM_BEFORE.search(before) and not _TERM_AFTER.match(behind):
        return None
    terms = [term for term in _TERM.finditer(line) if term.start() <= match.start() < term.end()]
    return terms[0][0].strip(" .*") if terms else None


def _without_asides(line: str) -> str:
    """``line`` without the remarks in parentheses, unless nothing else has a number."""
    blank = _ASIDE.sub(lambda aside: "\x02" * len(aside[0]), line)
    return blank if numbers(blank) else line


def _same_length(words: re.Match[str]) -> str:
    """The words of a ``\\text{}``, with spaces for the command, so that places stay."""
    inner = words.start(1) - words.start()
    return " " * inner + words[1] + " " * (len(words[0]) - inner - len(words[1]))
