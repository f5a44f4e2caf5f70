"""Choose the number of the verb that a question asks with: "he pays out 5 and keeps 3"."""

import re

#: The verb of a number in a further clause, and a verb right before a number.
_OTHER_VERB = re.compile(
    r"(?i)(?:,|;| and| but| while)+ (?:he |she |it |they )?(?!is\b|are\b|so\b|or\b|and\b)"
    r"([a-z]{3,})(?: (?:the|a|other|remaining|about|only|rest|of))*[\s$€£\\(*]*$"
)
_VERB = re.compile(r"(?i)\b([a-z]{3,})(?: (?:out|up|off|in|back|away|down))?[\s$€£\\(*]*$")
#: Irregular verbs: a past, and its present.
PASTS = {
    "bought": "buy", "sold": "sell", "made": "make", "paid": "pay", "got": "get", "gave": "give",
    "took": "take", "spent": "spend", "lost": "lose", "won": "win", "ate": "eat", "ran": "run",
    "drove": "drive", "wrote": "write", "kept": "keep", "left": "leave", "found": "find",
    "caught": "catch", "brought": "bring", "sent": "send", "built": "build", "grew": "grow",
    "has": "have", "had": "have", "went": "go", "goes": "go", "rode": "ride",
    "drank": "drink", "held": "hold",
    "fought": "fight", "knew": "know", "known": "know", "began": "begin", "begun": "begin",
    "thought": "think", "taught": "teach", "wore": "wear", "flew": "fly", "drew": "draw",
    "met": "meet", "told": "tell", "said": "say", "saw": "see", "seen": "see", "led": "lead",
    "fell": "fall", "felt": "feel", "chose": "choose", "spoke": "speak", "stood": "stand",
}  # fmt: skip


def of_asked_verb(line: str, candidates: list[re.Match[str]], question: str) -> re.Match[str]:
    """The last number of ``line``, unless it is of another verb than the question asks with."""
    asked = {_stem(word) for word in re.findall(r"[A-Za-z]{3,}", _last_sentence(question))}
    verb = _OTHER_VERB.search(line[: candidates[-1].start()])
    if not verb or _stem(verb[1]) in asked:
        return candidates[-1]
    for match in candidates[-2::-1]:
        own = _VERB.search(line[: match.start()])
        if own and _stem(own[1]) in asked:
            return match
    return candidates[-1]


def _last_sentence(question: str) -> str:
    return question[max(0, question.rfind(". ")) :]


def _stem(verb: str) -> str:
    """The first letters of a verb in its present form."""
    return PASTS.get(verb.casefold(), verb.casefold())[:3]
