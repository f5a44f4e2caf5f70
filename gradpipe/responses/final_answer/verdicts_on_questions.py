"""Read yes or no from a conclusion that only repeats the question's words.

"Did Naruto escape?" is answered by "In conclusion, Naruto did not escape." A response counts only
if the sentence that concludes it has most words of the question. It says no if it denies
this, and yes if it does not.
"""

import re

from gradpipe.responses.final_answer.compared_things import relation
from gradpipe.responses.final_answer.concluding_sentences import (
    CONCLUDES,
    Conclusion,
    conclusions,
    main_clause,
    stem,
    stems_in_order,
    without_added,
    words,
)
from gradpipe.responses.final_answer.evidence import endings

_ASKS = re.compile(
    r"(?i)(?:^|[.!?\n:,] *)(?:so |then |and )?(?P<asked>(?:is|are|was|were|do|does|did|can|could"
    r"|would|will"
    r"|should|has|have|had|may|might|must|if)\b[^?\n]*\?)"
)
_DENIES = re.compile(
    r"(?i)\b(?:not|never|cannot|neither|nor|unlikely|impossible|implausible|improbable|unable"
    r"|no longer|unrealistic|infeasible|none of|beyond the realm of"
    r"|no (?:role|way|evidence|record\w*|connection)"
    r"|(?:unfounded|inaccurate|incorrect|wrong|misleading|simplistic|unreasonable) to \w+)\b|n't\b"
)
_NOT_DENIALS = re.compile(
    r"(?i)\bnot only\b|\bno doubt\b|\bnot impossible\b|\bno (?:\w+ )?(?:reason to )?doubt\b"
)
_PRONOUN = re.compile(r"(?i)\b(?:it|its|he|him|his|she|her|they|their|them)\b")
#: A sentence whose main clause begins with a pronoun answers if it has the question's last words.
_OF_SUBJECT = re.compile(r"(?i)\W*(?:it|he|she|they)\b")
_LAST_WORDS = 3
#: The first name of a question, for which a pronoun may stand.
_NAME = re.compile(r"(?<=\w )[A-Z]\w+(?: [A-Z]\w+)*")
_REFERENCES = re.compile(
    r"(?is)\n[#*\s]*(?:references|sources|further reading|bibliography|citations)[*:\s]*\n.*\Z"
)
_THERE_IS_NO = re.compile(r"(?i)\bthere (?:is|are|was|were) no (\w+)")
#: What is asked in the negative is answered in ways that these rules do not read.
_ASKS_DENIAL = re.compile(_DENIES.pattern)
#: Words that deny: only a conclusion with the same word answers.
_ASKS_OMISSION = re.compile(
    r"(?i)\b(fail|refus|reject|avoid|la[c]k"
    r"|un(?:concerned|aware|necessary|helpful)"
    r"|(?:in|un|im|ir|il|dis)[a-z]{3,}(?:ble|ate|ful|al|ive|ous)\b)"
)
#: What is asked of a manner of doing: "avoided when naming teams".
_MANNER = re.compile(r"(?i)\b(?:when|while) \w+ing\b.*")
#: What could be is not what would be.
_COULD, _WOULD = re.compile(r"(?i)\bcould\b"), re.compile(r"(?i)would\b")
#: A question about what may be is affirmed by what may be.
_ASKS_CHANCE = re.compile(r"(?i)\b(?:could|can|might|may|possib\w+|potentially)\b")
_CHANCES = frozenset(
    ["may", "might", "potentially", "possibly", "perhaps", "theoretically", "hypothetically"]
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
#: The least share of them in a sentence that judges: "it is unlikely that".
_SOME, _JUDGED = 0.4, 0.3
#: The last sentences that may deny what one of them affirms.
_NEAR = 3
#: "It is impossible to determine" says nothing about the question.
_TO_KNOW = re.compile(
    r"(?i) to (?:\w+ly )?(determine|know|say|tell|verify|confirm|predict|ascertain|establish)\b"
)
_ON_CLAIM = re.compile(r"(?i)\b(?:claim|statement|sentence|true|correct|plausible|make sense)\b")
_OF_CHANCE = re.compile(r"(?i)\b(?:impossible|unlikely|improbable|implausible)\b")


def verdict_on_question(text: str, question: str) -> bool | None:
    """Whether the conclusion of ``text`` affirms what ``question`` asks; None if unclear."""
    asks = list(_ASKS.finditer(question))
    asked = _MANNER.sub("", asks[-1]["asked"]) if asks else ""
    text = _REFERENCES.sub("", text)
    omits = _ASKS_OMISSION.search(asked)
    if not words(asked) or _ASKS_DENIAL.search(asked):
        return None
    # A comparison of other things does not answer, but what follows may deny the question's.
    otherwise = False
    for conclusion in conclusions(text, asked, _LARGE_SHARE):
        clause = main_clause(conclusion.sentence, asked)
        if omits and omits[1].casefold() not in clause.casefold():
            continue
        concludes = bool(CONCLUDES.match(conclusion.sentence))
        needed = _SHARE if concludes else _LARGE_SHARE
        share = _share(clause, conclusion, asked)
        if _OF_SUBJECT.match(clause) and _says_predicate(clause, asked):
            share = max(share, _SHARE)
        if share < needed:
            continue
        compared = relation(asked, clause, enough=share > _LARGE_SHARE)
        if _denies(clause, asked):
            if conclusion.apart and not _denies_what_is_asked(clause, asked):
                continue
            if compared == "reversed":
                return None
            aside = not concludes and _affirmed(text, asked)
            return None if aside else False
        said = without_added(clause)
        said = said if _share(said, conclusion, asked) >= needed else clause
        if _hedges(re.sub(omits[1], "", said) if omits else said, asked):
            return None
        unsure = _COULD.search(clause) and _WOULD.match(asked)
        if conclusion.apart and (share < _LARGE_SHARE or unsure):
            continue
        if compared == "other":
            otherwise = True
            continue
        near = not omits and _denied_near_end(text, asked, None if conclusion.apart else _NEAR)
        return None if near or otherwise else compared == "same"
    return None


def _hedges(clause: str, asked: str) -> bool:
    """Whether a clause hedges, other than in the words of the question."""
    hedges = {found[0].casefold() for found in _HEDGES.finditer(clause)}
    likely = all("likely" in text for text in (asked, clause))
    if likely or _ASKS_CHANCE.search(asked):
        hedges -= _CHANCES
    return any(set(hedge.split()) - set(re.findall(r"\w+", asked.casefold())) for hedge in hedges)


def _share(clause: str, conclusion: Conclusion, asked: str) -> float:
    """The share of the question's words in a clause; its pronoun stands for those before it."""
    wanted, said = words(asked), words(clause)
    share = len(wanted & said) / len(wanted)
    if share >= _SOME and _PRONOUN.search(clause):
        whole = len(wanted & words(conclusion.sentence)) / len(wanted)
        if whole >= _LARGE_SHARE:
            return whole
        name = _NAME.search(asked)
        named = words(name[0]) if name else set()
        if not named & said:
            said |= named & words(conclusion.before)
        return len(wanted & said) / len(wanted)
    return share


def _says_predicate(clause: str, asked: str) -> bool:
    """Whether a clause has the last words of a question, which are not its subject."""
    last = stems_in_order(asked)[1:][-_LAST_WORDS:]
    return bool(last) and set(last) <= words(clause)


def _affirmed(text: str, asked: str) -> bool:
    """Whether a concluding sentence says what the last one denies."""
    wanted = words(asked)
    return any(
        len(wanted & words(clause)) >= _LARGE_SHARE * len(wanted) and not _denies(clause, asked)
        for sentence, _ in [*endings(text)][:4]
        if CONCLUDES.match(sentence) and (clause := main_clause(sentence, asked))
    )


def _denied_near_end(text: str, asked: str, last_sentences: int | None) -> bool:
    """Whether one of the last sentences, or of all, denies what another of them affirms."""
    wanted = words(asked)
    last = [
        (main_clause(sentence, asked), Conclusion(sentence, ""))
        for sentence, _ in [*endings(text)][:last_sentences]
    ]
    return any(
        _denies(clause, asked)
        and (
            _share(clause, conclusion, asked) >= _SHARE
            or (_PRONOUN.search(clause) and len(wanted & words(clause)) >= _SOME * len(wanted))
        )
        for clause, conclusion in last
    )


def is_on_question(sentence: str, end: int, question: str) -> bool:
    """Whether a verdict that ends at ``end``, as "is likely to", is on what the question asks."""
    asked = list(_ASKS.finditer(question))
    if not asked or _ON_CLAIM.search(asked[-1]["asked"]):
        return True
    others = _OF_CHANCE.sub("", asked[-1]["asked"])
    if _ASKS_DENIAL.search(others) or _ASKS_OMISSION.search(others):
        return False
    wanted = words(asked[-1]["asked"])
    unsure = _TO_KNOW.match(sentence, end)
    if unsure and unsure[1].casefold() not in asked[-1]["asked"].casefold():
        return False
    goes_on = re.match(r"(?i) (?:to|that|for|in)\b", sentence[end:])
    return not (goes_on and wanted) or len(wanted & words(sentence)) / len(wanted) >= _JUDGED


def _denies_what_is_asked(clause: str, asked: str) -> bool:
    """Whether a denial is of a word of the question: "would not fit" denies no jam."""
    plain = re.sub(r"\b\w+ly\b", "", _NOT_DENIALS.sub("", clause))
    denied = _DENIES.search(plain)
    return not denied or set(stems_in_order(plain[denied.end() :])[:1]) <= words(asked)


def _denies(clause: str, asked: str) -> bool:
    if _DENIES.search(_NOT_DENIALS.sub("", clause)):
        return True
    wanted, none = words(asked), _THERE_IS_NO.search(clause)
    if none and stem(none[1].casefold()) in wanted:
        return True
    other = _CHOOSES_OTHER.search(clause)
    if other and not _CHOOSES_OTHER.search(asked):
        # "closer to the beginning rather than the end" affirms "closer to the beginning than".
        worse = words(asked.casefold().partition(" than ")[2])
        if (wanted - worse) & words(other[1]):
            return True
    opposites = re.findall(r"\b(?:un|ir|in|im|il|dis)(\w{4,})", clause.casefold())
    return any(stem(word) in wanted for word in opposites)
