"""Choose the number that a sentence is about, of all numbers in it."""

import re
from fractions import Fraction

from gradpipe.responses.final_answer.asked_subjects import of_asked_subject
from gradpipe.responses.final_answer.asked_units import asked_unit, with_asked_unit
from gradpipe.responses.final_answer.asked_verbs import of_asked_verb
from gradpipe.responses.final_answer.evidence import Evidence, FoundAnswer
from gradpipe.responses.final_answer.numbers import (
    NUMBER,
    UNITS,
    number_matches,
    numbers,
    spelled_number,
    value,
    with_multiple,
)
from gradpipe.responses.final_answer.two_units import TwoUnits, in_two_units
from gradpipe.responses.final_answer.units import unit_at_start, unit_name, unit_ratio

EMPHASIS = re.compile(r"\*\*(.+?)\*\*|__(.+?)__|<b>(.+?)</b>")
#: A formula or a comparison in parentheses is a side remark.
_ASIDE = re.compile(r"(?<![\\^])\((?=[^()\n]*(?:\d|\x01))(?:[^()\n\\]|\\[^)\n])*\)")
#: What makes a number part of a circumstance: "in 5 days", "for all 3 of them".
_ADJUNCT = re.compile(
    r"(?i)\b(?:in|for|after|over|during|within|per|every|each|from|by|on|at|than"
    r"|(?<!up )(?<!left )(?<!us )with|until"
    r"|among|between"
    r"|(?<!total )(?<!sum )(?<!maximum )(?<!minimum )(?<!average )"
    r"(?<!mean )(?<!profit )(?<!value )of)"
    r"\s+(?:the |a |an |all |only |each |every |these |those |his |her |its |our "
    r"|my |your |their |about "
    r"|last "
    r"|first |next )*"
    r"[\s$\\(*]*$"
)
#: A number within a term: behind "x +", or before "x", π or a root.
_TERM_BEFORE = re.compile(
    r"(?:(?<![A-Za-z\\])[a-zA-Z]|[π)}])\s*[-+*/^×·]\s*[-$\\(]*$|\\(?:sqrt|log|ln|sin|cos"
    r"|tan)\s*[{(]?$|√$"
)
_TERM_AFTER = re.compile(
    r"\s*(?:\\(?:pi|sqrt|log|ln|sin|cos)(?![a-z])|[π√]|\^(?!\s*\{?\s*\\circ)"
    r"|[xyznkabti](?![A-Za-z'])\s*(?:[-+*/^=)$,.}]|$))"
)
_TERM = re.compile(r"[^\s,;:=$]+(?:\s*[-+*/^×·]\s*[^\s,;:=$]+)*")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf|textit|mathit)\s*\{([^{}]*)\}")


#: A reason behind an answer: "5 are left, since 7 - 2 = 5".
_REASON = re.compile(
    r"(?i)(?:,|\s[-–—])?\s(?:because|since|given that|as (?=(?:each|every|there|the|it|he"
    r"|she|they|\d)"
    r"\b))(?!.*\b(?:so|therefore|thus|hence|leav\w+|which)\b|.*\*\*).*$",
    re.DOTALL,
)
_REST = re.compile(r"(?i),? (?:while|whereas|and|but) the (?:other|rest|remaining)\b.*", re.DOTALL)
_ASKS_REST = re.compile(r"(?i)\b(?:rest|remain\w*|others?|left)\b")
_ABOUT = re.compile(r"(?i), which is (?:about|approximately|roughly|around)\b.*", re.DOTALL)
#: The relative error of a value that is rounded beside its fraction.
_CLOSE = Fraction(1, 100)
#: "1/4 play chess, and 3/4 do not": the number is of the others.
_OF_OTHERS = re.compile(r"(?i)\s*(?:of \w+\s+)?(?:do|does|are|is|did|were|was)(?:n['’]t| not)\b")
_NEARLY = re.compile(
    r"(?i)(?:≈|\\approx|\b(?:about|approximately|roughly|around|nearly|almost))\W*$"
)
_ROUNDS = re.compile(r"(?i)\bround|\bnearest|\bdecimal|\bapproximat|\babout\b|%|percent")


def concluded_number(sentence: str, before: str, question: str, evidence: Evidence) -> FoundAnswer:
    """The number that a concluding sentence concludes, of all numbers in it."""
    text = before + sentence
    given = {_as_given(number) for number in numbers(question)}
    line = _without_reason(without_text_commands(sentence), given)
    line = _without_rest(line, given, question)
    others = _REST.search(line) if _ASKS_REST.search(question) else None
    if others and (of_others := number_matches(others[0])):
        place = others.start() + of_others[-1].start()
        mine = next(m for m in number_matches(line) if m.end() > place)
        return number_answer(line, mine, evidence, text, question)
    if asked := with_asked_unit(line, number_matches(line), question):
        return number_answer(line, asked, evidence, text, question)
    line = without_asides(line)
    spans = [mark.span() for mark in EMPHASIS.finditer(line)]
    every = number_matches(line)
    bold = [m for m in every if any(start < m.start() < end for start, end in spans)]
    equals = line.rfind("=")
    named = bold or [m for m in every if m.start() > equals] or every
    worked_out = re.findall(rf"=[^=\n\d-]{{0,12}}?({NUMBER})", before)
    if worked_out:
        same = [m for m in named if value(m[0]) == value(worked_out[-1])]
        if same:
            return number_answer(line, same[-1], evidence, text, question)
    if not bold and (first := _result(line, named, equals)):
        return number_answer(line, first, evidence, text, question)
    main = [
        m
        for m in named
        if not _is_step(line, m)
        and not _ADJUNCT.search(line[: m.start()])
        and not _OF_OTHERS.match(line, m.end())
    ]
    new = [m for m in main or named if _as_given(m[0]) not in given]
    last = of_asked_verb(line, of_asked_subject(line, new or main or named, question), question)
    if _NEARLY.search(line[: last.start()]) and not _ROUNDS.search(question):
        last = _exact(line, last, every) or last
    return number_answer(line, last, evidence, text, question)


def _as_given(number: str) -> tuple[Fraction | None, str]:
    """The value of a number and its form: the same number in another form is an answer."""
    form = "power" if re.search(r"10|[eE]", number[1:]) and not number.isdigit() else "plain"
    if form == "power" and not re.search(r"[×x*·⋅\\eE]|times", number):
        form = "plain"
    if re.search(r"/|frac", number):
        # 18/24 and 3/4 are two forms of one number.
        form = "/".join(re.findall(r"\d+", number))
    return value(number), form


def _without_reason(line: str, given: set[tuple[Fraction | None, str]]) -> str:
    """``line`` with the reason at its end blanked out, if its other part has a new number."""
    reason = _REASON.search(line)
    if not reason or all(_as_given(n) in given for n in numbers(line[: reason.start()])):
        return line
    return line[: reason.start()] + "\x02" * len(reason[0])


def _without_rest(line: str, given: set[tuple[Fraction | None, str]], question: str) -> str:
    """``line`` without "while the other 2/5 do" or "which is about 8.3 m/s"; places stay."""
    for remark in (
        None if _ASKS_REST.search(question) else _REST.search(line),
        _ABOUT.search(line),
    ):
        if remark is None or (remark.re is _ABOUT and _ROUNDS.search(question)):
            continue
        if any(_as_given(number) not in given for number in numbers(line[: remark.start()])):
            line = line[: remark.start()] + "\x02" * len(line[remark.start() :])
    return line


def _exact(line: str, rounded: re.Match[str], every: list[re.Match[str]]) -> re.Match[str] | None:
    """The fraction before ``rounded`` that it is nearly equal to."""
    near = value(with_multiple(rounded[0], line[rounded.end() :]).rstrip("%"))
    for match in reversed([m for m in every if m.end() <= rounded.start()]):
        exact = value(match[0]) if re.search(r"/|frac", match[0]) else None
        places = len(rounded[0].partition(".")[2])
        if (
            exact
            and near
            and any(
                abs(exact * by / near - 1) < _CLOSE or round(exact * by, places) == near
                for by in (1, 100)
            )
        ):
            return match
    return None


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


def number_answer(
    line: str, match: re.Match[str], evidence: Evidence, text: str, question: str = ""
) -> FoundAnswer:
    """The number of ``match`` with its percent sign, multiple and sign; or the term around it."""
    written = match[0]
    number = written
    # One dot before three digits separates thousands where the text writes decimal commas.
    near = line[max(0, match.start() - 3) : match.end() + 8]
    continental = re.search(r"\d\.\d{3},\d|(?<![\d,])\d+,\d{1,2}(?![\d,])", text)
    if re.fullmatch(r"-?\d{1,3}\.\d{3}", written) and (
        continental or re.search(r"€|(?i:\beuro|\bEUR\b)", near) or _dots_group(text, question)
    ):
        number = written.replace(".", "")
    if re.search(r"(?i)(?:零下|マイナス|\bminus|\bnegative)[\s$\\(*]*$", line[: match.start()]):
        number = f"-{number.lstrip('-')}"
    if evidence != "box" and (term := _term_around(line, match)):
        return FoundAnswer(term, evidence, term)
    for both in in_two_units(line):
        if both.start <= match.start() < both.end:
            return _of_two_units(both, evidence, written, question)
    answer = with_multiple(number, line[match.end() :])
    return FoundAnswer(answer, evidence, written, _unit_of(line, match) if answer == number else "")


def _dots_group(text: str, question: str) -> bool:
    """Whether ``text`` writes a number of the question with a dot between its thousands."""
    asked = re.sub(r"(?<=\d)[, ](?=\d{3})", "", question)
    dotted = re.findall(r"(?<![\d.])\d{1,3}\.\d{3}(?![\d.])", text)
    return any(re.search(rf"(?<![\d.]){n.replace('.', '')}(?![\d.])", asked) for n in dotted)


def _of_two_units(both: TwoUnits, evidence: Evidence, written: str, question: str) -> FoundAnswer:
    """A quantity in two units: in the unit that the question asks for, else in the smaller one."""
    asked, small = unit_name(asked_unit(question)), unit_name(both.unit) or ""
    ratio = unit_ratio(small, asked) if asked else None
    number = both.number * (ratio or 1)
    return FoundAnswer(str(number), evidence, written, asked_unit(question) if ratio else both.unit)


def _unit_of(line: str, match: re.Match[str]) -> str:
    before, behind = line[: match.start()], line[match.end() :]
    words = re.match(
        r"(?:\s|\\[,;: ]|[\\*$)~{}])*((?:[^\W\d_]|[²³°/^{}\\ .⁻¹]|(?<=\^)[23]){1,40})", behind
    )
    if words and (name := unit_at_start(words[1])):
        return _WRITTEN.get(name, name)
    if re.search(r"\$$", before.rstrip("\\ ")) and not re.match(r"[^$\n]{0,30}\$(?!\d)", behind):
        return "dollars"
    plain = re.match(rf"[\s\\*$)]*({UNITS})", behind)
    name = plain[1].rstrip(".") if plain else ""
    return "" if _NO_UNIT.match(name) else name


_WRITTEN = {"$": "dollars", "¢": "cents", "€": "euros", "in": "inches"}
_NO_UNIT = re.compile(
    r"(?i)(?:per|in|on|at|of|for|and|or|because|since|is|are|to|by|from|each|left)\b"
)


def _term_around(line: str, match: re.Match[str]) -> str | None:
    """The term that the number is only a part of, as "x + 2" or "2π"; None if it stands alone."""
    before, behind = line[: match.start()], line[match.end() :]
    if not _TERM_BEFORE.search(before) and not _TERM_AFTER.match(behind):
        return None
    terms = [term for term in _TERM.finditer(line) if term.start() <= match.start() < term.end()]
    return terms[0][0].strip(" .*") if terms else None


def without_asides(line: str) -> str:
    """``line`` without the remarks in parentheses, unless nothing else has a number."""
    blank = _ASIDE.sub(
        lambda aside: aside[0] if _repeats_words(aside) else "\x02" * len(aside[0]), line
    )
    return blank if numbers(blank) else line


_DELIMITERS = re.compile(r"^[\s$*]+|^\\\(|\\\)$|[\s$*]+$")


def _repeats_words(aside: re.Match[str]) -> bool:
    """Whether a remark repeats the spelled number before it: "two thirds (2/3)"."""
    number = value(_DELIMITERS.sub("", aside[0][1:-1]))
    if number is None:
        return False
    before = aside.string[max(0, aside.start() - 40) : aside.start()].rstrip(" *")
    before = re.split(r"[,;:]\s|\b(?:is|are|to|gives)\s", before)[-1]
    spelled = spelled_number(before)
    return spelled is not None and spelled[1] == number and before.endswith(spelled[0])


def without_text_commands(line: str) -> str:
    """``line`` with the words of each ``\\text{}`` in place of the command; places stay."""
    return _TEXT.sub(_same_length, line)


def _same_length(words: re.Match[str]) -> str:
    """The words of a ``\\text{}``, with spaces for the command, so that places stay."""
    inner = words.start(1) - words.start()
    return " " * inner + words[1] + " " * (len(words[0]) - inner - len(words[1]))
