"""Find the number that a response ends on."""

import re
from fractions import Fraction

from gradpipe.responses.final_answer.asked_units import unit_behind, with_asked_unit
from gradpipe.responses.final_answer.circumstances import (
    begins_with_bold,
    negative_in_words,
    stated_solution,
    without_circumstances,
)
from gradpipe.responses.final_answer.evidence import (
    Evidence,
    FoundAnswer,
    Mark,
    endings,
    marks,
    without_denied,
)
from gradpipe.responses.final_answer.numbers import (
    number_matches,
    numbers,
    spelled_number,
    value,
    with_multiple,
)
from gradpipe.responses.final_answer.sentence_numbers import (
    EMPHASIS,
    concluded_number,
    number_answer,
    without_asides,
    without_text_commands,
)

#: What may stand between "the answer is" and the number.
_DIRECT = re.compile(
    r"(?i)(?:[^\w\x01\x02]|_|\\(?:text|mathrm|mathbf|textbf|approx|boxed|quad|left|dfrac|frac)\b"
    r"|\b(?:approximately|about|around|roughly|exactly|simply|just|only|therefore|thus|indeed|equal"
    r"|equals|to|that|there|are|is|be|a|an|the|total|sum|of|so|then|he|she|it|they|we|has|have|had"
    r"|rs|usd|eur|us|[a-z])\b)*"
)
_CONCLUDES = re.compile(
    r"(?i)\W*(?:therefore|thus|hence|so\b|conclusion|in conclusion|in total|in summary|finally"
    r"|overall|altogether|consequently|(?:this|that|which) means|as a result"
    r"|所以|因此|故|よって|したがって|つまり)"
)
#: Characters from the end within which a statement may reach its number by a detour.
_TAIL = 600
#: The most words of a statement in which a spelled number is its answer.
_FEW = 12
_STEP = re.compile(r"\s*(?:[-*•]\s|\d{1,2}[.)]\s)")
#: A sentence that only checks what was concluded before it.
_CHECKS = re.compile(
    r"(?i)\W*(?:(?:we|you) can |let(?:'s| us|me| me) |to |as a )?(?:double-?)?(?:check|verif"
    r"|confirm that"
    r"|note\b|recall|sanity|proof|this (?:checks|makes sense|is because))"
    r"|\W*(?:that|this|it)(?:'s| is) the same as\b"
    r"|\W*(?:that|this|it)(?:'s| is) (?:just |only |slightly |a (?:bit|little) |much |almost"
    r" |about )?(?:less|more|under|over|larger|smaller|greater|higher|lower|fewer) than\b"
    r"|\W*(?:(?:since|because|as)\b|\w+ and \w+ (?:have|share|are))[^.=/\\]*"
    r"(?:\bno (?:other )?common (?:factors?|divisors?)|\b(?:co|relatively )prime|\bprime to)"
    r"[^.=/\\]*\W*$"
    r"|\W*(?:验证|驗證|验算|驗算|检验|檢驗|检查|檢查|検算|確認|確かめ|검산|확인)"
)
#: What says nothing about the question: "a factor between 1 and 10", "an hour has 60 minutes".
_GENERAL = re.compile(
    r"(?i)\bbetween \S+ and \S+|(?<![\d.,])\b(?:an?|one|every|each) (?:hour|minute|day|week|year"
    r"|kilomet\w+|met\w+|kilogram|foot|yard|dozen|trillion|billion|million)"
    r" (?:has|have|is|contains|equals) \S+(?: \w+)?(?: and not \S+)?"
)
_CALCULATES = re.compile(
    r"[\s\\$)]*(?:[a-z]+\s*)?(?:[-+*/×·÷^(]|\\(?:times|cdot|div)(?![a-z]))[^;,A-Z]*?="
)
_IN_MANY = re.compile(
    r"(?i)\b(?:how many|in|number of) (hundred|thousand|million|billion|trillion)s?\b"
)
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])")
_VERIFIES = re.compile(
    r"(?i)\n(?=[\s*]*(?:#|\*\*))[\s*#\d.]*(?:step \d+:? *)?(?:verif\w+|double-check\w*"
    r"|check\w*)\b[^\n]*\n"
)
#: Where a question asks for a share, "3 out of 8" is 3/8.
_SHARE = re.compile(r"(?i)\b(?:probability|chance|fraction|proportion|share|odds|likelihood)\b")
_OUT_OF = re.compile(r"(?<![\d.])(\d+) (?:out of|in) (\d+)(?![\d.]*\d)")
#: A last sentence that only repeats what one of them is.
_ONE_OF_THEM = re.compile(r"(?i)\W*(?:each|every|one|a single)\b")
_OR = re.compile(r"(?i)\s*(?:[a-z]+\s+)?(?:or|and|,)\s+(?:[$€£\\(]*)$")


def find_number(text: str, question: str) -> FoundAnswer | None:
    """The number that ``text`` ends on; a formula where its box or its statement holds one."""
    found = _find_number(text, question)
    asked = _IN_MANY.search(question)
    if found and asked and found.answer.endswith(f" {asked[1].casefold()}"):
        return found._replace(answer=found.answer.rsplit(" ", 1)[0])
    return found


def _find_number(text: str, question: str) -> FoundAnswer | None:
    readable = without_circumstances(without_denied(text), question)
    if _SHARE.search(question):
        readable = _OUT_OF.sub(
            lambda share: f"{share[1]}/{share[2]}".ljust(len(share[0])), readable
        )
    found = marks(readable)
    for direct in (True, False):
        for mark in found:
            detour = not direct and mark.end < len(readable) - _TAIL
            if detour or _leads_elsewhere(mark, readable):
                continue
            answer = _in_mark(mark, readable, question, direct)
            if answer is not None:
                return answer
    return _in_endings(readable, question)


def _in_mark(mark: Mark, text: str, question: str, direct: bool) -> FoundAnswer | None:
    if mark.evidence == "box":
        return _boxed(mark.passage, text, question) if direct else None
    passage = re.sub(r"^(?:\\\[|\\\(|\$\$|\s|\*|\\n)+", "", mark.passage)
    passage = re.sub(r"(:|\\\[|\$\$)\s*\n\s*", r"\1 ", passage).split("\n")[0]
    whole = without_text_commands(passage)
    line = without_asides(whole)
    matches = number_matches(line)
    if asked := with_asked_unit(whole, number_matches(whole), question):
        return number_answer(whole, asked, mark.evidence, text, question)
    if not matches and direct and len(line.split()) <= _FEW:
        spelled = spelled_number(line)
        return FoundAnswer(str(spelled[1]), mark.evidence, spelled[0]) if spelled else None
    if not matches or direct != bool(_DIRECT.fullmatch(line[: matches[0].start()])):
        return None
    if direct:
        return _stated(line, matches, mark, text, question)
    return concluded_number(line, text[: mark.start], question, mark.evidence)


def _leads_elsewhere(mark: Mark, text: str) -> bool:
    """Whether no answer follows: "questions answered: 4", or "To answer this:" and steps."""
    said = text[mark.start : mark.end]
    if mark.evidence != "statement" or "answered" in said.casefold():
        return mark.evidence == "statement"
    return "\n" in said and bool(re.match(r"(?:\d{1,2}[.)]|Step \d+)\s", mark.passage))


def _stated(
    line: str, matches: list[re.Match[str]], mark: Mark, text: str, question: str
) -> FoundAnswer:
    """The first number of a statement; all of them where it does not decide between them."""
    first = matches[0]
    if len(matches) > 1 and _CALCULATES.match(line, first.end()):
        return concluded_number(line, text[: mark.start], question, mark.evidence)
    if len(matches) > 1 and _leaves_open(line, first, matches[1]):
        joined = line[first.start() : matches[1].end()]
        return FoundAnswer(joined, mark.evidence, joined)
    return number_answer(line, first, mark.evidence, text, question)


def _leaves_open(line: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether "18 or 20" gives two answers, and not one in two units or two forms."""
    if not _OR.fullmatch(line[first.end() : second.start()]):
        return False
    mine, other = (
        value(with_multiple(m[0], line[m.end() :]).replace("%", "")) for m in (first, second)
    )
    unit, unit_two = (unit_behind(line, match) for match in (first, second))
    if mine is None or other is None or other in (mine, mine * 100, mine / 100):
        return False
    return unit == unit_two or not unit


def _boxed(content: str, text: str, question: str) -> FoundAnswer | None:
    bare = without_text_commands(content)
    bare = re.sub(r"\\([$%€£])", r"\1", bare)
    bare = re.sub(
        r"\\[,;!]\s*(?!\d{3})|\\displaystyle|\\left|\\right|\^\{?\\circ\}?|[°$]", " ", bare
    )
    bare = bare.rsplit("=", 1)[-1]
    bare = re.split(r"\\approx|≈", bare)[0] or bare
    matches = number_matches(bare)
    if len(matches) == 1 and _has_unit_only(bare, matches[0], content, question):
        return number_answer(bare, matches[0], "box", text, question)
    if not matches and (spelled := spelled_number(bare)):
        return FoundAnswer(str(spelled[1]), "box", spelled[0])
    if len(matches) > 1 and re.search(r"(?i)\\?text|\bor\b|[a-z]{3,} ", content):
        asked = with_asked_unit(bare, matches, question)
        words = re.search(r"\d[^\d]*[a-z]{3,}[^\d]*\d", bare) and "\\" not in bare
        if asked or words:
            return number_answer(bare, asked or matches[0], "box", text, question)
    return FoundAnswer(content, "box", content) if content else None


def _has_unit_only(bare: str, match: re.Match[str], content: str, question: str) -> bool:
    """Whether a box holds a number and nothing but its unit: no variable and no operator."""
    rest = bare[: match.start()] + " " + bare[match.end() :]
    rest = re.sub(r"\\?%|\\\$|[$€£¥]|\b[A-Za-z]{2,}\b|\b[A-Za-z]+[²³]|\^\{?[23]\}?", " ", rest)
    if re.fullmatch(r"\s*[a-zA-Z]\s*", rest):
        unit = bare[match.end() :].strip()
        asked = bool(unit) and unit in re.findall(r"[A-Za-z]+", question)
        return asked or "\\text" in content or "\\mathrm" in content
    return not re.search(r"[\\^_+*/]|\d", rest) and not _VARIABLE.search(rest.strip())


def _in_endings(text: str, question: str) -> FoundAnswer | None:
    text = _without_verification(text)
    if bold := begins_with_bold(text):
        return number_answer(text, bold, "conclusion", text, question)
    if negative := negative_in_words(next(iter(endings(text)), ("", ""))[0]):
        return FoundAnswer(str(negative[1]), "conclusion", negative[0])
    last = [
        (sentence, before)
        for sentence, before in endings(text)
        if numbers(without_text_commands(_GENERAL.sub("", sentence))) and not _denies(sentence)
    ]
    last = [ending for ending in last[:4] if not _CHECKS.match(ending[0])] or last
    if not last:
        found = next((w for s, _ in [*endings(text)][:2] if (w := spelled_number(s))), None)
        return FoundAnswer(str(found[1]), "last", found[0]) if found else None
    if len(last) > 1 and _ONE_OF_THEM.match(last[0][0]):
        given = {value(number) for number in numbers(question)}
        new = [{value(number) for number in numbers(one)} - given for one, _ in last[:2]]
        last = last[1:] if new[1] and not new[0] else last
    if len(last) > 1 and re.fullmatch(r"\s*\([^()]*\)[\s.]*", last[0][0]):
        last = last[1:]
    chosen = _settling(last[:3])
    if _SHARE.search(question):
        part = _spelled_share(chosen[0])
        if part and isinstance(part[1], Fraction):
            return FoundAnswer(str(part[1]), "last", part[0])
    evidence: Evidence = "conclusion" if _CONCLUDES.match(chosen[0]) else "last"
    if solution := stated_solution(chosen[0], question):
        return number_answer(chosen[0], solution, "conclusion", text, question)
    return concluded_number(*chosen, question, evidence)


def _spelled_share(sentence: str) -> tuple[str, int | Fraction] | None:
    """A spelled number behind the others of a sentence, or beside whole numbers only."""
    every = number_matches(sentence)
    behind = sentence[every[-1].end() :] if every else sentence
    whole = all(match[0].isdecimal() for match in every)
    return spelled_number(sentence if whole else behind)


def _without_verification(text: str) -> str:
    """The part of ``text`` before a last section that only verifies the answer."""
    headings = list(_VERIFIES.finditer(text))
    if not headings or re.search(r"(?i)conclu|therefore|thus|final", text[headings[-1].end() :]):
        return text
    if numbers(text[: headings[-1].start()]):
        return text[: headings[-1].start()]
    return text


def _settling(last: list[tuple[str, str]]) -> tuple[str, str]:
    """The sentence that settles on a number: the last one, unless one before it concludes."""
    final = last[0][0]
    if any(numbers(bold[0]) for bold in EMPHASIS.finditer(final)):
        return last[0]
    if not _STEP.match(final) and re.search(r"(?i)\b(?:conclude|confirm|total of)\b", final):
        return last[0]
    concluding = [ending for ending in last if _CONCLUDES.match(ending[0])]
    if concluding and concluding[0] is not last[0] and "=" in final and not _STEP.match(final):
        # "So he writes 12 a week. 12 * 52 = 624": the last sentence continues it.
        used = {value(number) for number in numbers(final)}
        if any(value(number) in used for number in numbers(concluding[0][0])):
            return last[0]
    return (concluding or last)[0]


def _denies(sentence: str) -> bool:
    """Whether a sentence only says what the answer is not."""
    return "\x01" in sentence and not numbers(sentence)
