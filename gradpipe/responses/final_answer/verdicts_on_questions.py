"""Read yes or no from a conclusion that only repeats the question's words.

"Did Naruto escape?" is answered by "In conclusion, Naruto did not escape." A response counts only
if the sentence that concludes it has most words of the question. It says no if it denies
this, and yes if it does not.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

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
    r"(?i)(?:,? (?:but|because|since|as|due to|given|unless|without|whereas|while)"
    r"|, (?:which|who))\b.*"
)
_DENIES = re.compile(
    r"(?i)\b(?:not|never|cannot|neither|nor|unlikely|impossible|implausible|improbable|unable"
    r"|no longer"
    r"|unrealistic|infeasible|none of|no (?:role|way|evidence|record\w*|connection))\b|n't\b"
)
_NOT_DENIALS = re.compile(
    r"(?i)\bnot only\b|\bno doubt\b|\bnot impossible\b|\bno (?:\w+ )?(?:reason to )?doubt\b"
)
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
_COMPARES = re.compile(r"(?i)\bthan\b|\bas \w+ as\b|\b(?:tie|same|most|least|only)\b|\b\w{3,}est\b")
#: Who does it to whom decides: "the train would win against the tortoise" says no of the tortoise.
_OF_TWO = re.compile(
    r"(?i)\b(?:prefer|against|beat|defeat|win|surpass\w*|exceed|outnumber|outlast|outperform)\b"
    r"|\bover (?:an?|the)\b"
)
_DIRECTION = re.compile(r"(?i)\b(?:more|less|fewer|better|worse|\w{3,}er)\b(?=.*\bthan\b)")
_PRONOUN = re.compile(r"(?i)\b(?:it|its|he|him|his|she|her|they|their|them)\b")
#: A sentence whose main clause begins with a pronoun answers if it has the question's last words.
_OF_SUBJECT = re.compile(r"(?i)\W*(?:it|he|she|they)\b")
_LAST_WORDS = 3
#: "The evidence suggests that" concludes what follows.
_SHOWS = re.compile(
    r"(?i)(?<!not )\b(?:suggests?|indicates?|means|shows?|demonstrates?|implies|imply"
    r"|we (?:find|see|conclude)|(?:appears|seems|likely|clear|evident|certain)) that (?=\w)"
    r"|, (?:so|thus|hence|therefore),? (?!that\b|as\b|far\b|much\b|many\b)"
)
_REFERENCES = re.compile(
    r"(?is)\n[#*\s]*(?:references|sources|further reading|bibliography|citations)[*:\s]*\n.*\Z"
)
_THERE_IS_NO = re.compile(r"(?i)\bthere (?:is|are|was|were) no (\w+)")
#: What is asked in the negative is answered in ways that these rules do not read.
_ASKS_DENIAL = re.compile(rf"{_DENIES.pattern}|\bun(?:concerned|aware|necessary|helpful)\b")
#: Verbs that deny: only a conclusion with the same verb answers.
_ASKS_OMISSION = re.compile(r"(?i)\b(fail|refus|reject|avoid|la[c]k)")
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
_SOME, _JUDGED = 0.4, 0.3
#: "It is impossible to determine" says nothing about the question.
_TO_KNOW = re.compile(
    r"(?i) to (?:\w+ly )?(determine|know|say|tell|verify|confirm|predict|ascertain|establish)\b"
)
_ON_CLAIM = re.compile(r"(?i)\b(?:claim|statement|sentence|true|correct|plausible|make sense)\b")
_OF_CHANCE = re.compile(r"(?i)\b(?:impossible|unlikely|improbable|implausible)\b")


def verdict_on_question(text: str, question: str) -> bool | None:
    """Whether the conclusion of ``text`` affirms what ``question`` asks; None if unclear."""
    asks = list(_ASKS.finditer(question))
    asked = asks[-1]["asked"] if asks else ""
    text = _REFERENCES.sub("", text)
    wanted, omits = _words(asked), _ASKS_OMISSION.search(asked)
    if not wanted or _ASKS_DENIAL.search(asked):
        return None
    # A comparison of other things does not answer, but what follows may deny the question's.
    otherwise = False
    for sentence in _conclusions(text, wanted, asked):
        clause = _main_clause(sentence)
        if omits and omits[1].casefold() not in clause.casefold():
            continue
        needed = _SHARE if _CONCLUDES.match(sentence) else _LARGE_SHARE
        share = _share(clause, sentence, wanted)
        if _OF_SUBJECT.match(clause) and _says_predicate(clause, asked):
            share = max(share, _SHARE)
        if share < needed:
            continue
        if _denies(clause, wanted, asked):
            aside = not _CONCLUDES.match(sentence) and _affirmed(text, wanted, asked)
            return None if aside else False
        hedged = _HEDGES.search(re.sub(omits[1], "", clause) if omits else clause)
        if hedged and hedged[0].casefold() not in asked.casefold():
            return None
        if not _compares_alike(asked, clause, share):
            otherwise = True
            continue
        near = not omits and _denied_near_end(text, wanted, asked)
        return None if near or otherwise else True
    return None


def _share(clause: str, sentence: str, wanted: set[str]) -> float:
    """The share of the question's words in a clause; its pronoun stands for those before it."""
    share = len(wanted & _words(clause)) / len(wanted)
    if share >= _SOME and _PRONOUN.search(clause):
        whole = len(wanted & _words(sentence)) / len(wanted)
        return whole if whole >= _LARGE_SHARE else share
    return share


def _says_predicate(clause: str, asked: str) -> bool:
    """Whether a clause has the last words of a question, which are not its subject."""
    words = _in_order(asked)
    last = words[1:][-_LAST_WORDS:]
    return bool(last) and set(last) <= _words(clause)


def _compares_alike(asked: str, clause: str, share: float) -> bool:
    """Whether a clause compares as the question does, if this does: the same things, in order."""
    compares = [found[0].casefold() for found in _COMPARES.finditer(asked)]
    if not compares and not _OF_TWO.search(asked):
        return True
    directions = [set(map(str.casefold, _DIRECTION.findall(text))) for text in (asked, clause)]
    said = clause.casefold()
    passive = [bool(re.search(r"\w+ed by\b", text)) for text in (asked, clause)]
    if (
        share <= _LARGE_SHARE
        or any(word not in said for word in compares)
        or directions[0] != directions[1]
    ):
        return False
    first, second = _in_order(asked), _in_order(clause)
    return passive[0] == passive[1] and [word for word in first if word in second] == [
        word for word in second if word in first
    ]


def _affirmed(text: str, wanted: set[str], asked: str) -> bool:
    """Whether a concluding sentence says what the last one denies."""
    return any(
        len(wanted & _words(clause)) >= _LARGE_SHARE * len(wanted)
        and not _denies(clause, wanted, asked)
        for sentence, _ in [*endings(text)][:4]
        if _CONCLUDES.match(sentence) and (clause := _main_clause(sentence))
    )


def _denied_near_end(text: str, wanted: set[str], asked: str) -> bool:
    """Whether one of the last sentences denies what another of them affirms."""
    last = [(_main_clause(sentence), sentence) for sentence, _ in [*endings(text)][:3]]
    return any(
        _denies(clause, wanted, asked)
        and (
            _share(clause, sentence, wanted) >= _SHARE
            or (_PRONOUN.search(clause) and len(wanted & _words(clause)) >= _SOME * len(wanted))
        )
        for clause, sentence in last
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
    unsure = _TO_KNOW.match(sentence, end)
    if unsure and unsure[1].casefold() not in asked[-1]["asked"].casefold():
        return False
    goes_on = re.match(r"(?i) (?:to|that|for|in)\b", sentence[end:])
    return not (goes_on and wanted) or len(wanted & _words(sentence)) / len(wanted) >= _JUDGED


def _denies(clause: str, wanted: set[str], asked: str) -> bool:
    if _DENIES.search(_NOT_DENIALS.sub("", clause)):
        return True
    none = _THERE_IS_NO.search(clause)
    if none and _stem(none[1].casefold()) in wanted:
        return True
    other = _CHOOSES_OTHER.search(clause)
    if other and not _CHOOSES_OTHER.search(asked) and wanted & _words(other[1]):
        return True
    opposites = re.findall(r"\b(?:un|ir|in|im|il|dis)(\w{4,})", clause.casefold())
    return any(_stem(word) in wanted for word in opposites)


def _conclusions(text: str, wanted: set[str], asked: str) -> Iterator[str]:
    """The concluding sentences among the last four, and the last one: first if it says most."""
    every = [sentence for sentence, _ in endings(text)][:5]
    last = [_as_conclusion(sentence, asked) for sentence in every][:4]
    headed = {one for one, before in pairwise(every) if _is_heading(before)}
    says_most = bool(last) and len(wanted & _words(_main_clause(last[0]))) >= _LARGE_SHARE * len(
        wanted
    )
    yield from last[: int(says_most)]
    yield from (one for one in last if one in headed or _CONCLUDES.match(one))
    yield from last[:1]


def _is_heading(sentence: str) -> bool:
    """Whether a sentence is nothing but the heading of a conclusion."""
    found = _CONCLUDES.match(sentence)
    return bool(found) and not re.search(r"\w", sentence[found.end() :] if found else "")


def _as_conclusion(sentence: str, asked: str) -> str:
    """A sentence as "this suggests that" as a conclusion, if it has the question's last word."""
    shows = None if _CONCLUDES.match(sentence) else _SHOWS.search(sentence)
    if shows and set(_in_order(asked)[-1:]) <= _words(sentence[shows.end() :]):
        return f"Therefore, {sentence[shows.end() :]}"
    return sentence


def _main_clause(sentence: str) -> str:
    """A sentence without what it concedes or gives as a reason."""
    bare = _CONCLUDES.sub("", sentence.replace("**", ""), count=1)
    bare = _CONCEDES.sub(" ", re.sub(r", if not \w+,", "", bare))
    return _ASIDES.sub("", re.sub(r"\([^()]*\)", "", bare))


def _words(text: str) -> set[str]:
    return set(_in_order(text))


def _in_order(text: str) -> list[str]:
    """The stems of the words that say something, each once."""
    every = re.findall(r"[a-z0-9]+", re.sub(r"['’]s\b", "", text.casefold()))
    return list(dict.fromkeys(_stem(w) for w in every if w not in _STOP and len(w) > 1))


def _stem(word: str) -> str:
    bare = (
        re.sub(r"(?:ing|edly|ed|es|s|ly|er|ers)$", "", word) if len(word) > 4 else word.rstrip("s")
    )
    return bare[:6]
