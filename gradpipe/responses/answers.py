"""Extract a response's final answer and compare it with the gold answer.

The gold answer determines the kind of answer to look for: yes or no, an option's letter, a label
such as "Sentence B", a number, a formula or a phrase. The search never uses the gold value, so a
response with a different answer is not counted as agreement.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Literal

from gradpipe.benchmarks.texts import last_boxed
from gradpipe.responses.formulas import NUMBER, equal_formulas, numbers, value, without_markup
from gradpipe.responses.sentences import sentences

Kind = Literal["yes_no", "option", "label", "number", "formula", "phrase"]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("yes_no", re.compile(r"(?i)(?:yes|no|true|false)\.?")),
    ("option", re.compile(r"\([A-Z]\)|[A-J][.)]?")),
    ("label", re.compile(r"[A-Z][a-z]+ [A-J]")),
    ("number", re.compile(rf"[$€£]?\s*(?:{NUMBER})\s?%?")),
    ("formula", re.compile(r"(?s).*[\\$^_=<>{}()\[\]+*/\d].*|-?[a-z]")),
)

#: "The final answer is", "**Answer:**", "the most appropriate option would be" and similar.
STATED = re.compile(
    r"(?i)(?:\b(?:final|correct|right|best|appropriate|accurate|suitable|likely|logical|fitting"
    r"|plausible|sensible)\b[^.:!?\n]{0,40}?\b(?:answer|option|choice|response|conclusion)"
    r"|\banswer(?:ed)?)\b(?:(?:(?!\b(?:steps|follow|let|need|will)\b)"
    r"[^.:!?\n]){0,90}?(?:\b(?:is|be|as)\b|:)|\**\n)[\"*:\s]*"
)
_CONCLUDES = re.compile(r"(?i)\W*(?:therefore|thus|hence|so\b|conclusion|in conclusion|in total)")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])")
#: Maximum words of a text that is an answer by itself; characters from the end within which a
#: number counts as the stated answer.
_SHORT, _TAIL = 8, 600


def answer_kind(gold: str) -> Kind:
    """The kind of answer that ``gold`` is."""
    text = gold.strip()
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(text)), "phrase")


def final_answer(text: str, gold: str, question: str | None = None) -> str | None:
    """The final answer in ``text``, of the kind of ``gold``; None if there is no such answer.

    ``question`` makes its options known. An option's letter is then also found by the option's text
    or value, and an option's text wherever the response settles on it.
    """
    kind = answer_kind(gold)
    if not text.strip():
        return None
    if kind == "yes_no":
        return _yes_or_no(text, gold)
    if kind == "option":
        return _option(text, question or "")
    if kind == "label":
        return _label(text, gold.split(maxsplit=1)[0], question or "")
    if kind == "number":
        return _number(text, question or "")
    return _formula(text) if kind == "formula" else _phrase(text, question or "")


def same_answer(found: str, gold: str) -> bool:
    """Whether ``found`` equals the answer ``gold``, however it is written.

    Numbers and formulas are compared mathematically. Everything else is compared without case,
    spacing, markup and articles.
    """
    if answer_key(found) == answer_key(gold):
        return True
    return answer_kind(gold) in ("number", "formula") and equal_formulas(found, gold)


def answer_key(answer: str) -> str:
    """A key that is the same for answers that are obviously equal: ``$1,200.00``, ``1200``."""
    text = without_markup(answer)
    number = value(text)
    if number is not None:
        return str(number)
    text = re.sub(r"^\(?(\w)[).]*$", r"\1", text.casefold())
    return re.sub(r"^(?:the|an?) (?=\w\w)", "", text)


def _passages(text: str) -> Iterator[str]:
    """The text after each "the answer is" or similar, last statement first."""
    for stated in reversed(list(STATED.finditer(text))):
        yield text[stated.end() : stated.end() + 200].split("\n\n", maxsplit=1)[0]


def _endings(text: str) -> Iterator[tuple[str, str]]:
    """The sentences from last to first, each with all text that precedes it."""
    end = len(text)
    for sentence in reversed(sentences(text)):
        end -= len(sentence)
        yield sentence, text[:end]


# --- numbers


def _number(text: str, question: str) -> str | None:
    if boxed := (last_boxed(text) or "").rsplit("=", 1)[-1].strip():
        bare = re.sub(r"\\(?:text|mathrm)\{[^{}]*\}", "", boxed)
        found = numbers(bare)
        return boxed if not found or _VARIABLE.search(bare) else found[0]
    for passage in _passages(text[-_TAIL:]):
        if found := numbers(passage.split("\n")[0]):
            return found[0] if len(found) == 1 else _concluded(passage, text, question)
    endings = [ending for ending in _endings(text) if numbers(ending[0])]
    if not endings:
        return None
    concluding = [ending for ending in endings[:3] if _CONCLUDES.match(ending[0])]
    return _concluded(*(concluding or endings)[0], question)


def _concluded(sentence: str, before: str, question: str) -> str:
    """The number that a concluding sentence concludes, of all numbers in it."""
    bold = [n for mark in re.findall(r"\*\*(.+?)\*\*", sentence) for n in numbers(mark)]
    named = bold or numbers(sentence.rsplit("=", 1)[-1]) or numbers(sentence)
    worked_out = re.findall(rf"=[^=\n\d]{{0,12}}?({NUMBER})", before)
    if worked_out and (same := [n for n in named if value(n) == value(worked_out[-1])]):
        return same[-1]
    given = {value(n) for n in numbers(question)}
    return next((n for n in reversed(named) if value(n) not in given), named[-1])


# --- options and labels

_DENIED = re.compile(
    r"(?i)\bnot\b|n't\b|\bnonsens|\billogical|\bagainst\b|\b(?:un|im|ir)\w+(?:able|al|ible|ic|ly)\b"
    r"|contradict|\bless\b|\black|incorrect|inaccurate|absurd"
)
_CONTRAST = r"[;.]\s|,? (?:while|whereas|but|unlike|and)\b|(?i:in contrast|conversely|on the other)"


def listed_options(question: str) -> list[tuple[str, str]]:
    """(letter, text) of each option that the question lists; the letter may be empty."""
    lines = re.split(r"\n|\\n(?![a-z])", question)
    found = (re.match(r"\s*(?:\(([A-Z])\)|([A-J])[.)]|-)\s*(\S.*)", line) for line in lines)
    return [(f[1] or f[2] or "", f[3].strip()) for f in found if f]


def _option(text: str, question: str) -> str | None:
    letter = re.compile(r"\(\W?([A-J])\W?\)|\b([A-J])(?=[).:*}]|\\\))|^\W*([A-J])\W*$")
    for passage in (*_passages(text), last_boxed(text) or "", text[-150:]):
        if found := letter.search(passage):
            return f"({found[1] or found[2] or found[3]})"
    options = listed_options(question)
    for result in (last_boxed(text), _number(text, question)):
        same = [name for name, option in options if name and result and _equal(result, option)]
        if len(same) == 1:
            return f"({same[0]})"
    return None


def _equal(result: str, option: str) -> bool:
    mine, theirs = numbers(result), numbers(option)
    if len(mine) == len(theirs) == 1:
        return value(mine[0]) == value(theirs[0])
    return answer_key(result) == answer_key(option)


def _label(text: str, word: str, question: str) -> str | None:
    label = re.compile(rf"\b(?:{word}|{word.casefold()})\s+[\"“*]*([A-H])\b")
    if _DENIED.search(question.split("ptions:", maxsplit=1)[0]):
        for sentence, _ in [*_endings(text)][:6]:
            for clause in reversed(re.split(_CONTRAST, sentence)):
                if _DENIED.search(clause) and (found := label.search(clause)):
                    return f"{word} {found[1]}"
    for passage in _passages(text):
        if found := label.search(passage):
            return f"{word} {found[1]}"
    for sentence, _ in _endings(text):
        if len(set(named := label.findall(sentence))) == 1:
            return f"{word} {named[0]}"
    return None


# --- yes or no

_SAID = r"(?P<said>yes|no|true|false)(?=[\"'”*}.,;:)\]!]|\s*$|\s*\\|\s*\n|\s+[-–(])"
_ANYWHERE = re.compile(rf"(?i)(?<![\w-]){_SAID}")
_AT_FIRST = re.compile(
    rf"(?i)\W*(?:(?:therefore|thus|hence|so|in conclusion|(?:final )?conclusion|in summary|summary"
    rf"|option|decision|verdict|final \w+)\W+)*{_SAID}"
)
_ON_ITS_OWN = re.compile(r"(?im)^\W*(?P<said>yes|no|true|false)\W*$")
_VERDICT = re.compile(
    r"(?i)\b(?:(?:is|are|was|were|be|been|as|seems|appears|remains|does|do|did|it|sentence)\b|\w+n't\b)"
    r"(?P<no>\W+(?:not|never|neither)\b|(?<=n't))?(?:\W+(?!not\b)\w+){0,3}?\W+"
    r"(?:(?P<good>true|correct|accurate|factual|verifiable|plausible|possible|makes? sense"
    r"|likely(?!\W+(?:not|true|false|(?:in|un)\w{3,})\b))|(?P<bad>false|incorrect|inaccurate|untrue|implausible|impossible|unlikely"
    r"|illogical|nonsensical|unverifiable|fictional|improbable))\b"
)


def _yes_or_no(text: str, gold: str) -> str | None:
    words = ("true", "false") if gold.strip(" .").casefold() in ("true", "false") else ("yes", "no")
    ends = [sentence for sentence, _ in _endings(text)]
    said = next((f for p in _passages(text) if (f := _ANYWHERE.search(p))), None)
    said = said or next((f for s in (*ends[:4], text) if (f := _AT_FIRST.match(s))), None)
    said = said or next((f for s in ends[:4] if (f := _ON_ITS_OWN.search(s))), None)
    if said:
        return words[said["said"].casefold() in ("no", "false")]
    for sentence in ends[:2]:
        if judged := list(_VERDICT.finditer(sentence)):
            return words[(judged[-1]["bad"] is None) == (judged[-1]["no"] is not None)]
    return None


# --- phrases


def _phrase(text: str, question: str) -> str | None:
    if len(text.split()) <= _SHORT and not STATED.search(text):
        return text.strip()
    options = [option for _, option in listed_options(question)]
    for passage in _passages(text):
        if found := _named(passage, options) if options else _highlighted(passage):
            return found
    for sentence, _ in [*_endings(text)][:3]:
        bold = " / ".join(re.findall(r"\*\*(.+?)\*\*", sentence))
        if found := _named(bold, options) or _named(sentence, options):
            return found
    return None


def _named(passage: str, options: list[str]) -> str | None:
    """The option that ``passage`` names first; the longest one if several begin there."""
    places = [
        (found.start(), -len(option), option)
        for option in options
        if (found := re.search(rf"(?i)(?<!\w){re.escape(option)}(?!\w)", passage))
    ]
    return min(places)[2] if places else None


def _highlighted(passage: str) -> str | None:
    marked = re.search(r"\*\*(.+?)\*\*|[\"“](.+?)[\"”]", passage)
    phrase = re.split(r"\.(?:\s|$)|[\n;(\"”*]", passage.lstrip(' -"“*'))[0]
    if len(phrase.split()) > _SHORT and marked:
        phrase = marked[1] or marked[2]
    return phrase.strip(" .:") if len(phrase.split()) <= _SHORT else None


# --- formulas


def _formula(text: str) -> str | None:
    if boxed := (last_boxed(text) or "").strip():
        return boxed
    if len(text.split()) <= _SHORT and not STATED.search(text):
        return _math(text) or text.strip()
    stated = (found for passage in _passages(text) if (found := _math(passage)))
    ends = (found for sentence, _ in [*_endings(text)][:3] if (found := _math(sentence)))
    named = (found for passage in _passages(text) if (found := _highlighted(passage)))
    return next(chain(stated, named, ends), None)


def _math(passage: str) -> str | None:
    spans = re.findall(r"\\\[(.+?)\\\]|\\\((.+?)\\\)|\$\$?(.+?)\$", passage, re.DOTALL)
    if not spans:
        return None
    return re.split(r"=|\\approx|\\implies", "".join(spans[-1]))[-1].strip(" \n.,")
