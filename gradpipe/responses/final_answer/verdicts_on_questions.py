"""Read yes or no from a conclusion that only repeats the question's words.

"Did Naruto escape?" is answered by "In conclusion, Naruto did not escape." A response counts only
if the sentence that concludes it has most words of the question. It says no if it denies
this, and yes if it does not.
"""

import re
from collections.abc import Iterator

from gradpipe.responses.final_answer.evidence import endings

_ASKS = re.compile(
    r"(?i)(?:^|[.!?\n:,] *)(?:so |then |and )?(?P<asked>(?:is|are|was|were|do|does|did|can|could"
    r"|would|will"
    r"|should|has|have|had|may|might|must|if)\b[^?\n]*\?)"
)
_CONCLUDES = re.compile(
    r"(?i)\W*(?:(?:therefore|thus|hence|so|consequently|overall|ultimately|accordingly)\b"
    r"|(?:in|as a|to) (?:conclusion|conclude|summary|summarize|short|essence|sum|result)\b"
    r"|conclusion\W"
    r"|summary\W|(?:given|based on|considering|from|by|through|taking) (?:this|these|the|all"
    r"|that)\b"
    r"|given that\b|it(?: is|'s) (?:clear|evident|reasonable|safe|therefore|thus))"
)
_CONCEDES = re.compile(
    r"(?i)\b(?:while|although|though|even though|despite|even if|regardless|whereas|since"
    r"|because|as"
    r"|due to|given|considering|based on|if|unless|without|barring|until)\b[^,;.]*(?:[,;]|$)"
)
_ASIDES = re.compile(
    r"(?i),? (?:but|because|since|as|due to|given|unless|without|which|who|whereas|while)\b.*"
)
_DENIES = re.compile(
    r"(?i)\b(?:not|never|cannot|neither|nor|unlikely|impossible|implausible|improbable|unable"
    r"|no longer"
    r"|unrealistic|infeasible|none of|no (?:role|way|evidence|record\w*|connection))\b|n't\b"
)
_NOT_DENIALS = re.compile(
    r"(?i)\bnot only\b|\bno doubt\b|\bnot impossible\b|\bno (?:\w+ )?(?:reason to )?doubt\b"
)
_STOP = frozenset(
    [
        "the",
        "and",
        "for",
        "are",
        "was",
        "were",
        "has",
        "have",
        "had",
        "does",
        "did",
        "can",
        "could",
        "would",
        "will",
        "should",
        "may",
        "might",
        "must",
        "this",
        "that",
        "these",
        "those",
        "there",
        "their",
        "them",
        "they",
        "his",
        "her",
        "its",
        "any",
        "some",
        "most",
        "more",
        "than",
        "then",
        "with",
        "from",
        "into",
        "over",
        "about",
        "who",
        "what",
        "which",
        "when",
        "where",
        "why",
        "how",
        "ever",
        "all",
        "one",
        "two",
        "also",
        "likely",
        "possible",
        "able",
        "being",
        "been",
        "a",
        "an",
        "in",
        "of",
        "to",
        "is",
        "be",
        "it",
        "he",
        "she",
        "you",
        "we",
        "at",
        "by",
        "on",
        "or",
        "as",
        "if",
        "so",
        "do",
        "per",
        "your",
        "our",
        "often",
        "use",
        "used",
    ]
)
_COMPARES = re.compile(
    r"(?i)\bthan\b|\bas \w+ as\b|\b(?:surpass|exceed|outnumber|outlast|outperform|tie|same|most"
    r"|least|only)"
)
_CHOOSES_OTHER = re.compile(r"(?i)\b(?:rather than|instead of|as opposed to)\b(.*)")
#: A conclusion with one of these says neither yes nor no, unless it denies as well.
_HEDGES = re.compile(
    r"(?i)\b(?:low|lower|limited|minimal|little|few|partial(?:ly)?|partly|depend(?:s|ing)?"
    r"|argued|however"
    r"|but|may|might|potentially|possibly|perhaps|theoretically|hypothetically|technically|some"
    r"|sometimes"
    r"|beyond|far from|question(?:able)?|uncertain|unclear|debat\w+|if|whether|would need"
    r"|challenging"
    r"|difficult|less|no|lac[k]\w*|avoid|differ\w*|conflicts?|prevents?|fail\w*|insufficient"
    r"|hypothetical"
    r"|rarely|hardly|fictional|misconception|impractical|contradict\w*|mismatch|"
    r"decreased|problematic|fell? short|falls? short|none)\b"
)
#: The share of the question's words that a conclusion repeats, and that a last sentence does.
_SHARE, _LARGE_SHARE = 0.6, 0.8


def verdict_on_question(text: str, question: str) -> bool | None:
    """Whether the conclusion of ``text`` affirms what ``question`` asks; None if unclear."""
    asked = list(_ASKS.finditer(question))
    wanted = _words(asked[-1]["asked"]) if asked else set()
    if not wanted or _DENIES.search(asked[-1]["asked"]):
        return None
    for sentence in _conclusions(text):
        clause = _main_clause(sentence)
        needed = _SHARE if _CONCLUDES.match(sentence) else _LARGE_SHARE
        if len(wanted & _words(clause)) / len(wanted) < needed:
            continue
        if _denies(clause, wanted):
            return False
        if not _HEDGES.search(clause) and not _COMPARES.search(asked[-1]["asked"]):
            return True
        return None
    return None


def _denies(clause: str, wanted: set[str]) -> bool:
    if _DENIES.search(_NOT_DENIALS.sub("", clause)):
        return True
    other = _CHOOSES_OTHER.search(clause)
    if other and wanted & _words(other[1]):
        return True
    opposites = re.findall(r"\b(?:un|ir|in|im|il|dis)(\w{4,})", clause.casefold())
    return any(_stem(word) in wanted for word in opposites)


def _conclusions(text: str) -> Iterator[str]:
    """The concluding sentences among the last four, or the last one."""
    last = [sentence for sentence, _ in endings(text)][:4]
    concluding = [sentence for sentence in last if _CONCLUDES.match(sentence)]
    yield from concluding
    yield from last[:1]


def _main_clause(sentence: str) -> str:
    """A sentence without what it concedes or gives as a reason."""
    bare = _CONCLUDES.sub("", sentence.replace("**", ""), count=1)
    bare = _CONCEDES.sub(" ", bare)
    return _ASIDES.sub("", re.sub(r"\([^()]*\)", "", bare))


def _words(text: str) -> set[str]:
    words = re.findall(r"[a-z0-9]+", re.sub(r"'s\b", "", text.casefold()))
    found = filter(lambda word: word not in _STOP and len(word) > 1, words)
    return set(map(_stem, found))


def _stem(word: str) -> str:
    bare = (
        re.sub(r"(?:ing|edly|ed|es|s|ly|er|ers)$", "", word) if len(word) > 4 else word.rstrip("s")
    )
    return bare[:6]
