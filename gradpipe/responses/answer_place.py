"""Where in a response its final answer is written.

``answer_place`` knows the gold answer, and so the kind of answer to look for. ``stated_place``
reads the kind from the question and the response, so that the place depends on these two texts
only. Both return the last occurrence of the answer, without what surrounds it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from gradpipe.benchmarks.texts import last_boxed
from gradpipe.responses.final_answer.evidence import STATED, FoundAnswer, without_lead
from gradpipe.responses.final_answer.find import find_answer
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.final_answer.readable import first_turn, readable


class AnswerPlace(NamedTuple):
    """Characters of a response, from ``start`` up to but not ``end``: its final answer."""

    start: int
    end: int


_HASHES = re.compile(r"####[ \t]*(?P<answer>\S(?:[^\n]*\S)?)")
#: FLAN writes line breaks as a backslash and an n.
_BREAK = re.compile(r"\\n(?![a-z])")
_LETTERED = re.compile(r"(?m)^\s*(?:\([A-J]\)|[A-J][.)])\s*\S")
_LISTED = re.compile(r"(?m)^\s*-\s*(\S.*?)\s*$")
_LABEL = re.compile(r"\b(Sentence|Option|Choice|Statement) [A-J]\b")
_TRUE_FALSE = re.compile(r"(?i)\btrue (?:or|/) false\b")
_YES_NO = re.compile(
    r"(?im)\b(?:yes|true) ?(?:or|/) ?(?:no|false)\b|(?:^|[.!?>\],] *)(?:is|are|was|were|do|does|did"
    r"|can|could|would|will|should|has|have|had|may|might|must)\b[^?\n]*\?"
)
_ASKS_FOR_NUMBER = re.compile(r"(?i)\d|\bhow (?:many|much|far|long|old)\b")
_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\{[^{}]*\}|\\[,;! $%]|\{,\}")
_WORD = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}|=|[.!?]\s|\n|boxed|####")
#: The most words of a response that is an answer by itself.
_FEW_WORDS = 8


def answer_place(text: str, gold: str, question: str | None = None) -> AnswerPlace | None:
    """Where ``text`` last writes its final answer, of the kind of ``gold``; None if nowhere.

    An answer that is only described, such as "That is implausible" for no, has no place.
    """
    found = find_answer(text, gold, question)
    # Both have a character for each one of the text, up to a turn that the model invented.
    return None if found is None else _last(first_turn(readable(text)), found, gold)


def stated_place(text: str, question: str = "") -> AnswerPlace | None:
    r"""Where ``text`` last writes its final answer, of the kind that ``question`` asks for.

    Options, labels and yes-or-no questions determine the kind. Otherwise the answer is what follows
    ``####``, is in ``\boxed{}`` or follows "The answer is", or the concluding number if the
    question has numbers. A text of a few words is an answer by itself.
    """
    question = _BREAK.sub("\n", question)
    bare = without_lead(text.strip().rstrip(".!").rstrip()).strip("*_ ")
    if (
        answer_kind(bare) == "formula"
        and len(bare.split()) <= _FEW_WORDS
        and not _WORD.search(bare)
    ):
        start = text.rindex(bare)
        return AnswerPlace(start, start + len(bare))
    for gold in _samples(text, question):
        if place := answer_place(text, gold, question):
            return place
    if hashes := list(_HASHES.finditer(text)):
        return AnswerPlace(*hashes[-1].span("answer"))
    if bare and len(bare.split()) <= _FEW_WORDS and not STATED.search(text):
        start = text.rindex(bare)
        return AnswerPlace(start, start + len(bare))
    return None


def _samples(text: str, question: str) -> Iterator[str]:
    """Gold answers of the kinds to look for, in order; only their kinds matter."""
    listed = {option.casefold() for option in _LISTED.findall(question)}
    if _LETTERED.search(question):
        yield "(A)"
    elif label := _LABEL.search(question):
        yield label[0]
    elif listed & {"true", "false"} or _TRUE_FALSE.search(question):
        yield "true"
    elif listed & {"yes", "no"} or _YES_NO.search(question):
        yield "yes"
    elif listed:
        yield "some phrase"
    else:
        boxed = last_boxed(text)
        states = boxed is not None or STATED.search(text)
        if boxed and answer_kind(_UNIT.sub("", boxed)) == "formula":
            yield "x^2"
        if states or _ASKS_FOR_NUMBER.search(question):
            yield "0"
        if states:
            yield from ("x^2", "some phrase")


def _last(text: str, found: FoundAnswer, gold: str) -> AnswerPlace | None:
    """The last occurrence of an answer that was found."""
    kind, written = answer_kind(gold), found.written.strip()
    if not written and kind not in ("option", "yes_no"):
        return None
    body = re.escape(written)
    if kind == "option":
        letters = found.answer.strip("()").split("), (")
        letter = letters[-1] if len(letters) == 1 else r"[\W_]*(?:and[\W_]*)?".join(letters)
        pattern = rf"\({letter}\)|\b{letter}(?=[).:*}}]|\\\)|\W*$)"
        if not re.search(pattern, text):
            pattern = rf"(?i)\({letter}\)|(?<![\w']){letter}(?![\w'])" if written else r"(?!)"
    elif kind == "yes_no":
        # Not the word of "there is no evidence".
        body = body or found.answer
        pattern = rf"(?i)(?<![A-Za-z-]){body}(?=[\"'”*}}.,;:)\]!、。]|\s*$|\s*\\|\s*\n|\s+[-–(])"
        if written and not re.search(pattern, text):
            pattern = rf"(?i)(?<![A-Za-z-]){body}(?![A-Za-z-])"
    elif kind == "label" and len(written) > 1:
        word, letter = found.answer.split()
        pattern = rf"\b(?i:{word})\s+[\"“*]*{letter}\b"
    else:
        pattern = rf"(?i)(?<![A-Za-z\d.]){body}(?![A-Za-z\d]|[.,]\d)" if body else r"(?!)"
    places = list(re.finditer(pattern, text))
    return AnswerPlace(*places[-1].span()) if places else None
