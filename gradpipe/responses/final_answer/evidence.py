"""Where a response says its answer, and how: statements, boxes, corrections and last sentences."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from gradpipe.responses.sentences import sentences

#: How the answer was found, in the order of weight; see the package.
Evidence = Literal["correction", "mark", "box", "statement", "conclusion", "last", "whole"]


class FoundAnswer(NamedTuple):
    """A final answer: as it is compared, how it was found, and its characters in the response."""

    answer: str
    evidence: Evidence
    #: Empty for an answer that is only described, such as "implausible" for no.
    written: str
    #: What a number counts or is measured in, as written behind it; empty for other answers.
    unit: str = ""


#: "So 42", "Therefore, Paris": the words before an answer that is the whole text. A word that may
#: also begin a name, as in "So Long", needs a comma, or a number or sign behind it.
_LEAD = re.compile(
    r"(?i)(?:[\s*_]*(?:(?:and )?(?:therefore|thus|hence|finally|consequently|in conclusion)\b[,:]?"
    r"|(?:and |ok |well )?(?:so|then|also|and|ok|okay|well|it is|it['’]s|that is|that['’]s)\b"
    r"(?:[,:]|(?=\s*[^\w\s]|\s*\d|\s+[a-zA-Z]?\s*=|\s+[A-Ja-j]\W*\Z|\s+(?:it is|it['’]s|that is)\b"
    r"|\s+(?:yes|no|true|false)\W*\Z)))(?:\s+|(?=[$*(\\])))+"
)


def without_lead(text: str) -> str:
    """An answer that is the whole text, without "so", "therefore" and similar before it."""
    lead = _LEAD.match(text)
    return text[lead.end() :] if lead and re.search(r"\w", text[lead.end() :]) else text


class Mark(NamedTuple):
    """A place that says "here is the answer": the ``passage`` after it, or within a box."""

    evidence: Evidence
    start: int
    end: int
    passage: str


#: "The final answer is", "**Answer:**", "the most appropriate option would be" and similar.
STATED = re.compile(
    r"(?i)(?:\b(?:final|correct|right|best|appropriate|accurate|suitable|likely|logical|fitting"
    r"|plausible|sensible)\b[^.:!?\n]{0,40}?\b(?:answer|option|choice|response|conclusion)"
    r"|\b(?:final|correct|overall) (?:result|solution|verdict)|\banswer(?:ed)?"
    r"(?! (?:the (?!question|problem|prompt|final|correct)|an? |any |calls|phones))|\bans)\b"
    r"(?:(?:(?!\b(?:steps|follow|let|need|will)\b)"
    r"[^.:!?\n]){0,90}?(?:\b(?:is|be|as)\b|['’]s\b|:)|\s*=|\.?:|\**\n)[\"*:\s]*"
    r"|(?:(?<=\n)|^)[*_]*(?:correct|selected|chosen)(?: ones| letters| statements| items)?[*_]*:"
    r"[*\s]*"
    r"|\banswers (?:are|would be)[\"*:\s]*"
    r"|答案[^。\n]{0,12}?(?:是|为|為|:|=)\s*|(?:答え|正解|解答|回答)(?:は|が|:)、?\s*"
    r"|(?:정답|답)(?:은|:)\s*|最[终終]答案[:]?\s*"
)
#: A cheaper test: without one of these, nothing is stated.
_MAY_STATE = re.compile(
    r"(?i)answer|ans\b|option|choice|response|conclusion|result|solution|verdict|correct|selected|chosen|答|解|답"
)
#: GSM8K's mark; other lines with four number signs are headings.
_HASHES = re.compile(
    r"(?<!#)####[ \t]*(?=[^\s#])(?!\d+[.)]\s)"
    r"(?=[$€£¥(\\-]{0,3}[\d.(][^\s:]*(?: [^\s:]+){0,2}\s*(?:\n|\Z)|[^\n:]*\s*\Z)"
)
_SUPPOSED = re.compile(
    r"(?i)\b(?:if|suppose|assum\w+|whether|unless|might|may|could|would have|tempt\w*|at first"
    r"|(?:some|any)(?:one|body)|wrongly|mistakenly|not sure|wonder|ask\w*|each|every|per"
    r"|wrong to)\b[^.,;!?\n]*$"
)
#: "If the question were about cows, the answer would be (A)."
_OTHER_CASE = re.compile(r"(?i)\bif\b[^.!?\n]*\b(?:were|had|was|asked)\b")
_CORRECTS = re.compile(
    r"(?i)(?<![A-Za-z])(?:wait|oops|correction|scratch that|my mistake"
    r"|(?:I|we) (?:\w+ )?(?:made|did make|see) (?:a|an|my|the) (?:\w+ )?(?:mistake|error)"
    r"|(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|not (?:right|correct))"
    r"|I (?:miscalculated|misread|was wrong)|sorry|hold on|hmm+|no, that|actually)\b[^\w\n]*"
    r"|等等|更正|不[对對][,、]|待って|訂正"
)
#: Without a mark before it, only what says so itself is a correction.
_TAKES_BACK = re.compile(
    r"(?i)(?<![A-Za-z])(?:oops|correction:|scratch that|(?:actually|wait),? (?=no\b)|my mistake"
    r"|I made (?:a|an) (?:mistake|error))[^\w\n]*"
)
_UPHELD = re.compile(
    r"(?i)\b(?:(?:that|this|it|which|answer|result)\W+(?:'s|is|was|\w+ is)? ?(?:indeed |actually )?"
    r"(?:correct|right|fine|confirmed|stands|holds)|checks? out|consistent|confirm(?:s|ed)?)\b"
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BARE_BOX = re.compile(
    r"\\[dt]?frac\s*\d\s*\d|\\[A-Za-z]+(?:\{[^{}]*\})*|-?\d[\d.,/]*(?<![.,])|[A-Za-z](?![A-Za-z])"
)
_BETWEEN = re.compile(r"[\s$\\()\[\]]*(?:or|\\text\{\s*or\s*\})[\s$\\()\[\]]*")


@lru_cache(maxsize=64)
def marks(text: str) -> tuple[Mark, ...]:
    """The statements and boxes of ``text``, the last one first."""
    found = [*_statements(text), *_boxes(text)]
    return tuple(sorted(found, key=lambda mark: (mark.start, mark.end), reverse=True))


def _statements(text: str) -> Iterator[Mark]:
    for hashes in _HASHES.finditer(text):
        line = text[hashes.end() :].split("\n", maxsplit=1)[0]
        yield Mark("mark", hashes.start(), hashes.end(), line)
    for stated in STATED.finditer(text) if _MAY_STATE.search(text) else ():
        before = re.split(r"[.!?\n。]\s|\n|。", text[max(0, stated.start() - 80) : stated.start()])
        if _SUPPOSED.search(before[-1]) or (
            "would" in stated[0] and _OTHER_CASE.search(before[-1])
        ):
            continue
        passage, *after = text[stated.end() : stated.end() + 200].split("\n\n", maxsplit=1)
        if after and passage.rstrip().endswith(":"):
            passage = f"{passage.rstrip()} {after[0].lstrip()}".split("\n\n", maxsplit=1)[0]
        yield Mark("statement", stated.start(), stated.end(), passage.split("。")[0])


def _boxes(text: str) -> Iterator[Mark]:
    """Each box; boxes that only "or" separates are one, which decides nothing."""
    joined: Mark | None = None
    for opening in _BOX.finditer(text):
        inner = _box_end(text, opening.end())
        if inner is None:
            continue
        begin, end, after = inner
        content = text[begin:end].strip()
        if joined and _BETWEEN.fullmatch(text[joined.end : opening.start()]):
            joined = Mark("box", joined.start, after, f"{joined.passage} or {content}")
        else:
            if joined:
                yield joined
            joined = Mark("box", opening.start(), after, content)
    if joined:
        yield joined


def _box_end(text: str, begin: int) -> tuple[int, int, int] | None:
    """Where the content of a box begins and ends, and where the box ends; None if it never does."""
    if text[begin : begin + 1] != "{":
        bare = _BARE_BOX.match(text, begin)
        return (begin, bare.end(), bare.end()) if bare else None
    depth = 0
    for place in range(begin, len(text)):
        # An escaped brace, as in set notation, is text and does not count.
        if text[place - 1] != "\\":
            depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return begin + 1, place, place + 1
    return None


def correction(text: str) -> str | None:
    """The part of ``text`` after it takes its last mark back; None if it does not."""
    last = marks(text)[:1]
    after = last[0].end if last else 0
    cues = list((_CORRECTS if last else _TAKES_BACK).finditer(text, after))
    if not cues or _UPHELD.search(text, cues[-1].start()):
        return None
    return text[cues[-1].end() :]


def endings(text: str) -> Iterator[tuple[str, str]]:
    """The sentences from last to first, each with all text that precedes it."""
    end = len(text)
    for piece in _pieces(text):
        end -= len(piece)
        yield piece, text[:end]


@lru_cache(maxsize=16)
def _pieces(text: str) -> tuple[str, ...]:
    """The sentences from last to first; the readers of one text ask for them several times."""
    split = (_CJK_STOP.split(sentence) for sentence in reversed(sentences(text)))
    return tuple(piece for pieces in split for piece in reversed(pieces) if piece)


_CJK_STOP = re.compile(r"(?<=。)|(?<=[!?])(?=[\u3040-\u30ff\u4e00-\u9fff])")
_DENIED_ANSWER = re.compile(
    r"(?i)(?:\((?:and )?not\b[^()\n]*\)|\b(?:not|n't|never|rather than|instead of|neither|nor"
    r"|cannot be"
    r"|as opposed to|and not)(?: be)?(?: just| only| simply| exactly| (?:the )?(?:option|choice"
    r"|answer))?\s+"
    r"(?:\(?[A-Ja-j]\)?(?![\w'])|[*\\$(]*-?[\d.,]*\d%?"
    r"|(?:\$|\\\()?\s*-?\\[dt]?frac\s*\{[^{}]*\}\s*\{[^{}]*\})|(?:而不是|不是|并非)\s*(?:[A-J]|-?\d[\d.,]*)"
    r"|(?:[A-J]|-?\d[\d.,]*)(?:ではなく|じゃなく|(?:이|가) (?:아니라|아닌)))"
)


def without_denied(text: str) -> str:
    """``text`` with the answers that it denies ("not 16") blanked out, of the same length."""
    return _DENIED_ANSWER.sub(lambda denied: "\x01" * len(denied[0]), text)
