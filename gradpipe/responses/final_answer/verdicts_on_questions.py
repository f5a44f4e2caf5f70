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
    r"|least|only)|\b\w{3,}est\b"
)
#: Who does it to whom decides: "the train would win against the tortoise" says no of the tortoise.
_OF_TWO = re.compile(r"(?i)\b(?:prefer|against|beat|defeat|win)\b|\bover (?:an?|the)\b")
#: What is asked in the negative is answered in ways that these rules do not read.
_ASKS_DENIAL = re.compile(rf"{_DENIES.pattern}|\bun(?:concerned|aware|necessary|helpful)\b")
#: Verbs that deny: only a conclusion with the same verb answers.
_ASKS_OMISSION = re.compile(r"(?i)\b(fail|refus|reject|avoid|lack)")
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
#: The least share of them in a sentence that judges: "it is unlikely that".
_SOME = 0.4
_ON_CLAIM = re.compile(r"(?i)\b(?:claim|statement|sentence|true|correct|plausible|make sense)\b")
_OF_CHANCE = re.compile(r"(?i)\b(?:impossible|unlikely|improbable|implausible)\b")


def verdict_on_question(text: str, question: str) -> bool | None:
    """Whether the conclusion of ``text`` affirms what ``question`` asks; None if unclear."""
    asked = list(_ASKS.finditer(question))
    wanted = _words(asked[-1]["asked"]) if asked else set()
    if not wanted or _ASKS_DENIAL.search(asked[-1]["asked"]):
        return None
    omits = _ASKS_OMISSION.search(asked[-1]["asked"])
    for sentence in _conclusions(text):
        clause = _main_clause(sentence)
        if omits and omits[1].casefold() not in clause.casefold():
            continue
        needed = _SHARE if _CONCLUDES.match(sentence) else _LARGE_SHARE
        if len(wanted & _words(clause)) / len(wanted) < needed:
            continue
        if _denies(clause, wanted, asked[-1]["asked"]):
            return False
        hedged = _HEDGES.search(re.sub(omits[1], "", clause) if omits else clause)
        if hedged or _COMPARES.search(asked[-1]["asked"]):
            return None
        if _OF_TWO.search(asked[-1]["asked"]) and not _same_order(asked[-1]["asked"], clause):
            return None
        if omits:
            return True
        return None if _denied_near_end(text, wanted, asked[-1]["asked"]) else True
    return None


def _same_order(asked: str, clause: str) -> bool:
    """Whether the words of the question that a clause repeats are in the order of the question."""
    first, second = (
        list(dict.fromkeys(word for part in text.split() for word in _words(part)))
        for text in (asked, clause)
    )
    return [word for word in first if word in second] == [word for word in second if word in first]


def _denied_near_end(text: str, wanted: set[str], asked: str) -> bool:
    """Whether one of the last sentences denies what another of them affirms."""
    clauses = [_main_clause(sentence) for sentence, _ in [*endings(text)][:3]]
    return any(
        len(wanted & _words(clause)) / len(wanted) >= _SHARE and _denies(clause, wanted, asked)
        for clause in clauses
    )


def is_on_question(sentence: str, end: int, question: str) -> bool:
    """Whether a verdict that ends at ``end``, as "is likely to", is on what the question asks."""
    asked = list(_ASKS.finditer(question))
    if not asked or _ON_CLAIM.search(asked[-1]["asked"]):
        return True
    others = _OF_CHANCE.sub("", asked[-1]["asked"])
    if _ASKS_DENIAL.search(others) or _ASKS_OMISSION.search(others):
        return False
    wanted = _words(asked[-1]["asked"])
    goes_on = re.match(r"(?i) (?:to|that|for|in)\b", sentence[end:])
    return not (goes_on and wanted) or len(wanted & _words(sentence)) / len(wanted) >= _SOME


def _denies(clause: str, wanted: set[str], asked: str) -> bool:
    if _DENIES.search(_NOT_DENIALS.sub("", clause)):
        return True
    other = _CHOOSES_OTHER.search(clause)
    if other and not _CHOOSES_OTHER.search(asked) and wanted & _words(other[1]):
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
