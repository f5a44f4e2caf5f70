"""The sentences of a response that conclude something, and what their main clauses say."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from gradpipe.responses.final_answer.asked_verbs import PASTS
from gradpipe.responses.final_answer.evidence import endings
from gradpipe.responses.sentences import sentences

CONCLUDES = re.compile(
    r"(?i)\W*(?:(?:therefore|thus|hence|so|thereby|consequently|overall|ultimately|accordingly)\b"
    r"|(?:in|as a|to) (?:conclusion|conclude|summary|summarize|short|essence|sum|result)\b"
    r"|conclusion\W"
    r"|summary\W|(?:given|based on|considering|from|by|through|taking) (?:this|these|the|all"
    r"|that)\b"
    r"|given that\b|it(?: is|'s) (?:clear|evident|reasonable|safe|therefore|thus))"
)
_CONCEDES = re.compile(
    r"(?i)\b(?P<word>while|although|though|even though|despite|even if|regardless|whereas|since"
    r"|because|as (?=it\b|they\b|he\b|she\b|there\b|this\b|these\b)|(?:(?<=^)|(?<=[,;] ))as"
    r"|due to|given|considering|based on|if|unless|without|barring|until)\b[^,;.]*(?:[,;]|$)"
)
_ASIDES = re.compile(
    r"(?i)(?:,? (?P<word>(?:such|as well) as|but|because|since|due to|given|unless|without"
    r"|whereas|while|as (?=it\b|they\b|he\b|she\b|there\b|this\b|these\b))"
    r"|, (?:which|who|as|(?:\w+ly )?(?:resulting|leading|causing|making)))\b.*"
)
#: What a sentence adds behind its main clause: ", influenced by the party".
_ADDED = re.compile(
    r"(?i), (?:\w+ly )?(?:\w+ing|\w+ed (?:by|in|on|from)|specifically|especially"
    r"|particularly)\b.*"
)
#: "The evidence suggests that" concludes what follows.
_SHOWS = re.compile(
    r"(?i)(?<!not )\b(?:suggests?|indicates?|means|shows?|demonstrates?|implies|imply|clarifies"
    r"|confirms?|we (?:find|see)|(?:we|I) (?:can )?(?:\w+ly )?(?:conclude|determine|say)"
    r"|be (?:\w+ly )?concluded|(?:appears|seems|likely|clear|evident|certain)) that (?=\w)"
    r"|, (?:so|thus|hence|therefore),? (?!that\b|as\b|far\b|much\b|many\b)"
)
#: A heading, or a label in bold, behind which the conclusion follows.
_HEADING = re.compile(
    r"(?im)^[ \t]*(?:[#>*-]+[ \t]*)?(?:\d{1,2}[.)][ \t]*)?[*_]*(?:\w+,? (?:and |& )?){0,3}"
    r"(?:conclusions?|summary|final answer|verdict)[ \t*_]*(?::[ \t*_]*|\n)"
)
_LABEL = re.compile(r"^\W*(?:\*\*[^*\n]{1,60}\*\*:?\s*)?")
#: What begins a sentence that sets out to answer, and does not.
_SETS_OUT = re.compile(
    r"(?i)\b(?:whether|determine|question|address|consider|explore|examine|analy[sz]e|let['’]?s"
    r"|need to)\b|\?\W*$"
)
#: The headings that are read from the end, the sentences behind each, and their characters.
_OF_SECTIONS, _OF_SECTION, _LONG = 3, 3, 2000
_STOP = frozenset([
    "the", "and", "for", "are", "was", "were", "has", "have", "had", "does", "did", "can",
    "could", "would", "will", "should", "may", "might", "must", "this", "that", "these",
    "those", "there", "their", "them", "they", "his", "her", "its", "any", "some", "most",
    "more", "than", "then", "with", "from", "into", "over", "about", "who", "what", "which",
    "when", "where", "why", "how", "ever", "all", "one", "two", "also", "likely", "possible",
    "able", "being", "been", "a", "an", "in", "of", "to", "is", "be", "it", "he", "she", "you",
    "we", "at", "by", "on", "or", "as", "if", "so", "do", "per", "your", "our", "often", "use",
    "used",
])  # fmt: skip


class Conclusion(NamedTuple):
    """A sentence that may conclude, and the one before it, to which its pronouns refer."""

    sentence: str
    before: str
    #: Whether it stands elsewhere than at the end, so that it must say all that is asked.
    apart: bool = False


def conclusions(text: str, asked: str, large_share: float) -> Iterator[Conclusion]:
    """The sentences of ``text`` that may answer ``asked``, the weightiest one first.

    These are the concluding ones of the last four and the last one, then those behind a heading
    that concludes, then the first one of the text. The last one is the first if it has
    ``large_share`` of the words of ``asked``.
    """
    wanted = words(asked)
    every = [sentence for sentence, _ in endings(text)][:5]
    before = [*every[1:], ""]
    last = [
        Conclusion(_as_conclusion(sentence, asked), one)
        for sentence, one in zip(every, before, strict=True)
    ][:4]
    headed = {one for one, above in pairwise(every) if _is_heading(above)}
    said = words(main_clause(last[0].sentence, asked)) if last else set()
    says_most = len(wanted & said) >= large_share * len(wanted)
    yield from last[: int(bool(last) and says_most)]
    yield from (one for one in last if one.sentence in headed or CONCLUDES.match(one.sentence))
    yield from last[:1]
    yield from _behind_headings(text)
    first = next(iter(sentences(text)), "")
    if not _SETS_OUT.search(first):
        yield Conclusion(first, "", apart=True)


def _behind_headings(text: str) -> Iterator[Conclusion]:
    """The first sentences behind the last headings that conclude, from the last one on."""
    for heading in list(_HEADING.finditer(text))[: -_OF_SECTIONS - 1 : -1]:
        before = ""
        for sentence in sentences(text[heading.end() : heading.end() + _LONG])[:_OF_SECTION]:
            if not _SETS_OUT.search(sentence):
                yield Conclusion(f"Therefore, {_LABEL.sub('', sentence)}", before, apart=True)
            before = sentence


def _is_heading(sentence: str) -> bool:
    """Whether a sentence is nothing but the heading of a conclusion."""
    found = CONCLUDES.match(sentence)
    return bool(found) and not re.search(r"\w", sentence[found.end() :] if found else "")


def _as_conclusion(sentence: str, asked: str) -> str:
    """A sentence as "this suggests that" as a conclusion, if it has the question's last word."""
    shows = None if CONCLUDES.match(sentence) else _SHOWS.search(sentence)
    if shows and set(stems_in_order(asked)[-1:]) <= words(sentence[shows.end() :]):
        return f"Therefore, {sentence[shows.end() :]}"
    return sentence


def main_clause(sentence: str, asked: str) -> str:
    """A sentence without what it concedes or gives as a reason.

    A clause with a conjunction of the question, as "without", is a part of the question.
    """

    def unless_asked(found: re.Match[str], instead: str) -> str:
        word = (found["word"] or "").strip().casefold()
        return found[0] if len(word) > 2 and f" {word} " in said else instead

    said = asked.casefold()
    bare = CONCLUDES.sub("", sentence.replace("**", ""), count=1)
    bare = re.sub(r", if not \w+,", "", bare)
    bare = _CONCEDES.sub(lambda found: unless_asked(found, " "), bare)
    bare = re.sub(r"\([^()]*\)", "", bare)
    return _ASIDES.sub(lambda found: unless_asked(found, ""), bare)


def without_added(clause: str) -> str:
    """A clause without what it adds behind its own statement."""
    return _ADDED.sub("", clause)


def words(text: str) -> set[str]:
    """The stems of the words that say something."""
    return set(stems_in_order(text))


def stems_in_order(text: str) -> list[str]:
    """The stems of the words that say something, in their order, each once."""
    plain = re.sub(r"['’]s\b", "", text.casefold()).replace("united states", "us")
    every = re.findall(r"[a-z0-9]+", plain)
    return list(dict.fromkeys(stem(w) for w in every if w not in _STOP and len(w) > 1))


def stem(word: str) -> str:
    """The first letters of a word without its ending; a past as its present."""
    word = PASTS.get(word, word)
    bare = (
        re.sub(r"(?:ing|edly|ed|es|s|ly|er|ers)$", "", word) if len(word) > 4 else word.rstrip("s")
    )
    return bare[:6]
