"""Find a phrase: an option's text that the response settles on, or the words that it states."""

import re

from gradpipe.responses.final_answer.evidence import (
    STATED,
    FoundAnswer,
    endings,
    marks,
    without_lead,
)
from gradpipe.responses.final_answer.options import find_option, listed_options

#: Maximum words of a text that is an answer by itself.
SHORT_ANSWER = 8


def find_phrase(text: str, question: str) -> FoundAnswer | None:
    """The option's text or the phrase that ``text`` gives as the answer.

    The letter of a listed option stands for its text.
    """
    options = [option for _, option in listed_options(question)]
    if len(text.split()) <= SHORT_ANSWER and not STATED.search(text) and "\\boxed" not in text:
        bare = without_lead(text.strip())
        named = _named(bare, options) if len(options) > 1 else None
        return FoundAnswer(named or bare, "whole", named or bare)
    for mark in marks(text):
        if options:
            found = _named(_without_rejections(mark.passage), options)
        else:
            found = highlighted(mark.passage) or None
        if found:
            return FoundAnswer(found, mark.evidence, found)
    if lettered := _by_letter(text, question):
        return lettered
    for sentence, _ in [*endings(text)][:3]:
        bold = " / ".join(re.findall(r"\*\*(.+?)\*\*", sentence))
        if found := _named(bold, options) or _named(sentence, options):
            return FoundAnswer(found, "last", found)
    return None


def _by_letter(text: str, question: str) -> FoundAnswer | None:
    texts = {name: option for name, option in listed_options(question) if name}
    found = find_option(text, question) if texts else None
    if found is None or found.answer.strip("()") not in texts:
        return None
    return FoundAnswer(texts[found.answer.strip("()")], found.evidence, found.written)


def _without_rejections(passage: str) -> str:
    return re.sub(
        r"(?i)\b(?:not|rather than|instead of)\s+[\"'*]*(?:(?:in|on|at|the|an?)\s+)?\w+",
        "",
        passage,
    )


def _named(passage: str, options: list[str]) -> str | None:
    """The option that ``passage`` names first; the longest one if several begin there."""
    places = [
        (found.start(), -len(option), option)
        for option in options
        if (found := re.search(rf"(?i)(?<!\w){re.escape(option)}(?!\w)", passage))
    ]
    return min(places)[2] if places else None


def highlighted(passage: str) -> str | None:
    """The phrase that ``passage`` begins with or emphasizes; None if it is a longer text."""
    marked = re.search(r"\*\*(.+?)\*\*|[\"“](.+?)[\"”]", passage)
    passage = re.sub(r"\\(?:text|textbf|mathrm)\s*\{([^{}]*)\}", r"\1", passage)
    phrase = re.split(
        r"\.(?:\s|$)|[\n;(\"”*]|,? (?:because|since|which|as it|as the)\b", passage.lstrip(' -"“*')
    )[0]
    if len(phrase.split()) > SHORT_ANSWER and marked:
        phrase = marked[1] or marked[2]
    return phrase.strip(" .:,") if len(phrase.split()) <= SHORT_ANSWER else None
