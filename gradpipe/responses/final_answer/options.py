"""Find the option that a response chooses: by its letter, by its text or by its value."""

import re
from collections.abc import Iterator

from gradpipe.responses.final_answer.compare import answer_key
from gradpipe.responses.final_answer.evidence import (
    Evidence,
    FoundAnswer,
    Mark,
    endings,
    marks,
    without_denied,
)
from gradpipe.responses.final_answer.number_answers import find_number
from gradpipe.responses.final_answer.numbers import numbers, value
from gradpipe.responses.final_answer.option_letters import (
    begun_letters,
    chosen_letters,
    letter_at_start,
    letters_within,
)
from gradpipe.responses.final_answer.option_lists import (
    headed_letter,
    letters_in_brackets,
    only_listed,
    verdict_list,
)

#: The most words of a text that may be a letter by itself.
_FEW = 12


def listed_options(question: str) -> list[tuple[str, str]]:
    """(letter, text) of each option that the question lists; the letter may be empty."""
    lines = re.split(r"\n|\\n(?![a-z])", question)
    found = (re.match(r"\s*(?:\(([A-Z])\)|([A-J])[.)::、]|-)\s*(\S.*)", line) for line in lines)
    return [(f[1] or f[2] or "", f[3].strip()) for f in found if f]


def find_option(text: str, question: str) -> FoundAnswer | None:
    """The letter that ``text`` chooses, as ``(B)``; several letters as ``(A), (C)``."""
    options = listed_options(question) or _inline_options(question)
    plain = without_denied(_without_rejected(text))
    for mark in marks(plain):
        if answer := _in_mark(mark, options):
            return answer
    for letters, evidence in _lettered(text, plain, options):
        if letters:
            return _found(letters, evidence, letters[0])
    return None if _NONE_FITS.search(plain) else _by_text(plain, question, options)


def _lettered(
    text: str, plain: str, options: list[tuple[str, str]]
) -> Iterator[tuple[list[str], Evidence]]:
    """The letters of a text without marks, by the weight of their evidence.

    ``plain`` is ``text`` without what it rejects.
    """
    yield only_listed(text, options) or headed_letter(text, options), "last"
    last = [sentence for sentence, _ in endings(plain)][:4]
    # "Option A would be right for cows" decides only where nothing else does.
    for sentence in sorted(last, key=lambda sentence: " would be " in sentence):
        yield chosen_letters(sentence), "conclusion"
    yield verdict_list(text), "last"
    if len(plain.split()) <= _FEW:
        yield letter_at_start(plain, dict(options), alone=True), "whole"
    if _NONE_FITS.search(plain):
        return
    yield begun_letters(plain), "last"
    for sentence in last[:3]:
        yield letters_in_brackets(sentence), "last"
        letters = letters_within(sentence)
        if len(set(letters)) == 1 or re.search(r"\) and \(?[A-J]\)", sentence):
            yield letters, "last"


def _found(letters: list[str], evidence: Evidence, written: str) -> FoundAnswer:
    names = sorted(set(letters))
    return FoundAnswer(", ".join(f"({name})" for name in names), evidence, written)


def _in_mark(mark: Mark, options: list[tuple[str, str]]) -> FoundAnswer | None:
    passage = re.sub(r"\\(?:text|textbf|mathbf|mathrm|boxed)\s*\{?|\\[(\[$]|[$]", " ", mark.passage)
    if letters := letter_at_start(passage, dict(options)):
        return _found(letters, mark.evidence, letters[0])
    line = passage.strip().split("\n")[0]
    if mark.evidence != "box":
        if letters := chosen_letters(line):
            return _found(letters, mark.evidence, letters[0])
        if len(set(letters := letters_within(line))) == 1:
            return _found(letters[:1], mark.evidence, letters[0])
        if len(set(letters)) > 1 and re.match(r"\W*[A-J]\W", line):
            return _found(letters, mark.evidence, letters[0])
    named = _named_texts(passage if mark.evidence == "box" else line, options, whole=False)
    return _found(named, mark.evidence, "") if len(named) == 1 else None


def _named_texts(passage: str, options: list[tuple[str, str]], *, whole: bool) -> list[str]:
    """The letters of the options whose text or value ``passage`` is, or that it names first."""
    lettered = [(name, text.strip().rstrip(".")) for name, text in options if name]
    same = [name for name, text in lettered if _equal(passage, text)]
    if same or whole:
        return same
    places = [
        (found.start(), -len(text), name)
        for name, text in lettered
        if (found := re.search(rf"(?i)(?<![\w.]){re.escape(text)}(?![\w]|\.\d)", passage))
    ]
    return [min(places)[2]] if places else []


def _equal(result: str, option: str) -> bool:
    if answer_key(result) == answer_key(option):
        return True
    mine, theirs = numbers(result), numbers(option)
    if len(mine) == len(theirs) == 1:
        words = (set(re.findall(r"[a-z]{4,}", text.casefold())) for text in (result, option))
        first, second = words
        return value(mine[0]) == value(theirs[0]) and (
            not second or not first or bool(first & second)
        )
    return False


def _by_text(text: str, question: str, options: list[tuple[str, str]]) -> FoundAnswer | None:
    """The option whose text or value a response comes to without a letter."""
    for sentence, _ in [*endings(text)][:2]:
        worded = [(name, text) for name, text in options if re.search(r"[A-Za-z]{3}", text)]
        bold = " / ".join(re.findall(r"\*\*(.+?)\*\*", sentence))
        for passage in (bold, sentence):
            clauses = re.split(
                r"[;:]|, (?:and|so|but)\b", re.sub(r"(?i)(?:\bnot|n't)\b[^.;,]*", "", passage)
            )
            for part in (passage, *reversed(clauses)):
                if len(set(named := _all_named(part, worded))) == 1:
                    return _found(named[:1], "last", "")
    result = find_number(text, question)
    if result is None:
        return None
    same = [name for name, option in options if name and _equal(result.answer, option)]
    return _found(same, result.evidence, "") if len(same) == 1 else None


def _all_named(passage: str, options: list[tuple[str, str]]) -> list[str]:
    return [
        name
        for name, text in options
        if name and re.search(rf"(?i)(?<!\w){re.escape(text.rstrip('.'))}(?!\w)", passage)
    ]


def _inline_options(question: str) -> list[tuple[str, str]]:
    """Options in one line: "(A) 3 (B) 4" or "A. red B. blue"."""
    pieces = re.split(r"(?:^|\s)(?:\(([A-J])\)|([A-J])[.):])\s*", question)
    names = [first or second for first, second in zip(pieces[1::3], pieces[2::3], strict=False)]
    texts = [text.strip(" ,;") for text in pieces[3::3]]
    return list(zip(names, texts, strict=False)) if len(names) > 1 else []


_NONE_FITS = re.compile(
    r"(?i)\b(?:none of|not any of|no) (?:the|these|those)?\s*(?:\w+ )?(?:options?|choices?"
    r"|answers?)\b"
    r"[^.!?\n]{0,40}\b(?:match|fit|correct|right|agree|correspond|is |are )"
)
_REJECTED = re.compile(
    r"(?im)(?:\boptions?|\bchoices?|\banswers?)?[ *]*(?:\([A-J]\)|\b[A-J]\b[.):]?)(?:(?:,| and"
    r"|,? or|/)"
    r" *(?:\([A-J]\)|[A-J]\b))*[^.!?\n;A-J]{0,50}?"
    r"\b(?:is|are|was|were|can|could|does|do|would|seems?|must)(?: be| all| both| also"
    r"| therefore| clearly)*"
    r"(?:n't| not\b|not\b| (?:wrong|incorrect|false|invalid|out\b|eliminated|ruled out"
    r"|impossible|irrelevant"
    r"|unlikely|too \w+|excluded|sometimes|only|partly|partially|(?:need|require)s?\b"
    r"|(?:true|correct|right)[^.!?\n;]{0,30}? but\b"
    r"|(?<=would be) (?:true|correct|right)[^.!?\n;]{0,30}? if\b))"
    r"[^.!?\n;]*?(?=,? (?:but|so|while"
    r"|whereas|and)\b|[.!?\n;]|$"
    r"|, (?:option |choice )?\(?(?-i:[B-J])\)? (?:is|must|fits|remains)\b)"
    r"|\bif (?:option )?\(?(?-i:[A-J])\)? (?:were|was|had)\b[^.,;!?\n]*"
    r"|\bnot\s+(?!sure|certain)[\w' ]{2,25}(?:,? which is (?:option|choice) |\s\()(?-i:[A-J])\b\)?"
    r"|\b(?:eliminat\w+|rul\w+ out|reject\w*|exclud\w+|discard\w*|not|except|excluding"
    r"|other than|apart from)\s+(?:options?|choices?"
    r"|answers?)?\s*"
    r"(?:\([A-J]\)|[A-J]\b)(?:(?:,| and|,? or)+ *(?:\([A-J]\)|[A-J]\b))*"
)


def _without_rejected(text: str) -> str:
    """``text`` with clauses that reject an option ("A is wrong") blanked out."""
    return _REJECTED.sub(lambda clause: "\x01" * len(clause[0]), text)
