"""Find the formula that a response ends on."""

import re

from gradpipe.responses.final_answer.evidence import (
    STATED,
    FoundAnswer,
    endings,
    marks,
    without_denied,
    without_lead,
)
from gradpipe.responses.final_answer.lists import find_list
from gradpipe.responses.final_answer.number_answers import find_number
from gradpipe.responses.final_answer.phrases import SHORT_ANSWER, highlighted

_SPAN = re.compile(r"\\\[(.+?)\\\]|\\\((.+?)\\\)|\$\$?(.+?)\$", re.DOTALL)
#: A formula without delimiters: it has an operator, a bracket or a digit, and hardly any words.
_BARE = re.compile(
    r"(?:[A-Za-z]\w?(?:\([a-z]\))?\s*=\s*)?[-(\[{√π\\\d]?(?:\\[a-zA-Z]+|(?:sqrt|sin|cos|tan|log"
    r"|ln)(?=[\s(])"
    r"|(?<![A-Za-z])(?!(?i:is|on|at|in|of|to|so|if|as|by|an|or|we|it|be|[ckm]m|no|he|do)\b)"
    r"[A-Za-z]{1,2}(?![A-Za-z])|[\d_.,/:^*+=(){}\[\]|√π∞∅²³⁴⁵×·⋅-]"
    r"|\s(?=[-+*/=<>≤≥\u222a×·⋅(\d\\])"
    r"|(?<=[-+*/=<>≤≥\u222a×·⋅,(\[])\s|[<>≤≥\u222a±])+(?:(?<=:\d\d)\s?[AaPp]\.?[Mm]\b\.?)?"
)
#: "The solution set is empty."
_EMPTY = re.compile(
    r"(?i)\b(?:is|be|equals|get)\s+(?:therefore |thus )?(?:the |an )?(empty(?: set)?)\W*$"
)

_GLOSS = re.compile(r"(?i),?\s*\(?(?:\bi\.\s?e\.|\bin other words\b|\bthat is,)")
#: "This is the well known formula for a difference of cubes, a^3 - b^3."
_REMARK = re.compile(
    r"(?i)\W*(?:this|that|it|here,? we|we) (?:is|was|follows|uses?|used|comes|matches|applied)\b"
    r"[^.\n]*\b(?:formula|identity|rule|theorem|pattern|law)\b"
)


def find_formula(text: str, question: str, *, several: bool = False) -> FoundAnswer | None:
    """The formula that ``text`` ends on; a number or a phrase where it ends on one.

    ``several`` looks for a list: "x = 1 and x = 2", or two boxes with "and" between them.
    """
    plain = without_denied(text)
    found = marks(plain)
    if several and (listed := find_list(plain)):
        return listed
    for mark in found:
        passage = mark.passage.strip()
        if mark.evidence == "box" and passage:
            return FoundAnswer(passage, "box", passage)
        if formula := _formula(passage) or (_bare(passage) if mark.evidence != "box" else None):
            return FoundAnswer(formula, mark.evidence, formula)
    if empty := _EMPTY.search(next(iter(endings(plain)), ("", ""))[0]):
        return FoundAnswer("\\emptyset", "last", empty[1])
    if _is_bare(text):
        bare = _formula(text) or without_lead(text.strip())
        # "x^2 / x^5 = x^(2 - 5) = x^-3" is a calculation; one "=" may be an equation.
        bare = bare.rsplit("=", 1)[-1].strip() if bare.count("=") > 1 else bare
        return FoundAnswer(bare, "whole", bare)
    named = (
        FoundAnswer(phrase, mark.evidence, phrase)
        for mark in found
        if (phrase := highlighted(mark.passage))
    )
    last = (
        FoundAnswer(formula, "last", formula)
        for sentence, before in [*endings(plain)][:3]
        if (formula := _before_remark(sentence, before) or _formula(sentence))
    )
    answer = next(last, None) or _in_last_sentence(plain) or find_number(text, question)
    answer = answer or next(named, None)
    if answer is None and len(text.split()) <= SHORT_ANSWER:
        bare = without_lead(text.strip())
        answer = FoundAnswer(bare, "whole", bare)
    return answer


def _before_remark(sentence: str, before: str) -> str | None:
    """The formula alone on its line before a sentence on a formula that was used."""
    # A concluding remark, "which gives" and similar, has the result itself.
    if not _REMARK.match(sentence) or re.search(r"(?i)\b(?:gives?|so|answer|yields?)\b", sentence):
        return None
    line = before.rstrip().rsplit("\n", 1)[-1].strip()
    alone = line.strip("$*\\[]() ") and _is_bare(line) and re.search(r"[a-z\d]", line)
    return (_formula(line) or _bare(line)) if alone else None


def _is_bare(text: str) -> bool:
    """Whether a text is a formula and hardly any words."""
    if STATED.search(text) or len(text.split()) > 3 * SHORT_ANSWER:
        return False
    bare = re.sub(r"\\[a-z]+\s*\{[A-Za-z ]*\}", "", text)
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z]{2,}", bare)
    return all(map(str.isupper, words))


def _formula(passage: str) -> str | None:
    """The last formula between delimiters, without what it is named by an equation."""
    spans = list(_SPAN.finditer(passage))
    if not spans:
        return None
    # "(x, y) = (1, 2) and x + y = 3" is two formulas, and the statement is the last one.
    content = next(group for group in spans[-1].groups() if group)
    content = (
        re.split(r"\\approx|≈", re.split(r"\\implies|\\Rightarrow", content)[-1])[0] or content
    )
    return content.rsplit("=", 1)[-1].strip(" \n.,") or None


def _bare(passage: str) -> str | None:
    """A formula without delimiters at the start of a statement."""
    line = re.sub(r"^[\s*:_]+|[\s*_]+$", "", passage.split("\n", maxsplit=1)[0])
    # "]0, 5[, i.e. 0 < x < 5": the second form only explains the first.
    glossed = _GLOSS.search(line)
    if glossed and (formula := _bare(line[: glossed.start()])):
        return formula
    found = _BARE.match(line)
    formula = re.sub(r"(?:\*\*|__|[.,;\s])+$", "", found[0]).strip() if found else ""
    behind = line[found.end() :] if found else ""
    if not re.search(r"[\d\\^+*/=<>(\[∅]|^-?[a-z]$", formula) or (
        re.match(r"\w{3}", formula) and " " in behind
    ):
        return None
    return formula.rsplit("=", 1)[-1].strip() or None


def _in_last_sentence(text: str) -> FoundAnswer | None:
    """The last formula without delimiters in the last sentence."""
    sentence = next(iter(endings(text)), ("", ""))[0]
    tails = re.split(
        r"\b(?:is|are|be|get|equals|gives|to|as|at|by|or|when)\b|(?<![<>])=|∈", sentence
    )
    for tail in (*reversed(tails[1:]), *reversed([found[0] for found in _BARE.finditer(sentence)])):
        formula = _bare(tail)
        if (
            formula
            and re.search(r"[\\^+*/()\[<>:√π∅×·⋅]|[a-z]", formula)
            and re.search(r"\w|∅", formula)
        ):
            return FoundAnswer(formula, "last", formula)
    return None
