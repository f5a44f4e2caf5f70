"""Find the label that a response names, such as "Sentence B"."""

import re

from gradpipe.responses.final_answer.evidence import FoundAnswer, endings, marks, without_denied

_DENIED = re.compile(
    r"(?i)\bnot\b|n't\b|\bnonsens|\billogical|\bagainst\b|\b(?:un|im|ir)\w+(?:able|al|ible|ic|ly)\b"
    r"|contradict|\bless\b|\black|incorrect|inaccurate|absurd"
)
_CONTRAST = r"[;.]\s|,? (?:while|whereas|but|unlike|and)\b|(?i:in contrast|conversely|on the other)"


def find_label(text: str, word: str, question: str) -> FoundAnswer | None:
    """The label ``word`` with its letter that ``text`` gives as the answer.

    If the question asks which one does not make sense, the sentence that says so decides.
    """
    label = re.compile(rf"\b(?:{word}|{word.casefold()}|{word.upper()})\s+[\"“*(]*([A-H])\b")
    if _DENIED.search(question.split("ptions:", maxsplit=1)[0]):
        for sentence, _ in [*endings(text)][:6]:
            for clause in reversed(re.split(_CONTRAST, sentence)):
                if _DENIED.search(clause) and (found := label.search(clause)):
                    return FoundAnswer(f"{word} {found[1]}", "conclusion", found[0])
    bare = re.compile(r"[\W_]*([A-H])(?:\W*$|[.,)*]|\s+(?:because|since|as|is)\b)")
    for mark in marks(text):
        passage = re.sub(rf"(?i)\b(?:not|rather than|instead of) {word} [A-H]\b", "", mark.passage)
        passage = re.sub(r"\\text\s*\{", "", passage)
        if found := label.search(passage) or bare.match(passage):
            return FoundAnswer(f"{word} {found[1]}", mark.evidence, found[0].strip(" *"))
    if alone := re.fullmatch(r"[\W_]*([A-H])[\W_]*", text):
        return FoundAnswer(f"{word} {alone[1]}", "whole", alone[1])
    for sentence, _ in endings(without_denied(text)):
        if len(set(named := label.findall(sentence))) == 1:
            return FoundAnswer(f"{word} {named[0]}", "last", f"{word} {named[0]}")
    return None
