"""Choose the number of the thing that a question asks about: "Tom has 14, and Ann has 6"."""

import re

_VERB = r"(?:is|are|was|were|has|have|had|gets?|got|takes?|took|pays?|paid|needs?|weighs?|costs?)"
_SUBJECT = r"(?:(?:the|his|her|their|its) )?[A-Za-z]+(?:['’]s)?(?: [a-z]+){0,2}?"
#: A clause with a subject and a verb of its own, at the start or behind a conjunction.
_CLAUSE = re.compile(
    rf"(?:^\W*(?:(?:so|thus|hence|therefore|finally|then),? )?|[,;] (?:and |but |while |whereas )?"
    rf"| (?:and|but|while|whereas) )(?P<subject>{_SUBJECT}) (?P<verb>{_VERB})\b(?=[^,;]*\d)"
    r"|(?:^|[,;、])\s*(?:因此|所以|故|则)?[,、]?(?P<name>[\u4e00-\u9fff]{1,6}?)(?P<does>[有是为得])(?=\d)",
    re.IGNORECASE,
)
#: A subject that may stand for any other one.
_ANY = re.compile(
    r"(?i)\b(?:he|she|it|they|this|that|there|which|who|we|you|rest|remainder|remaining|answer"
    r"|result|total|sum|difference|number|amount|value|final|other|others|each|both)\b"
)


def of_asked_subject(
    line: str, candidates: list[re.Match[str]], question: str
) -> list[re.Match[str]]:
    """The numbers of the clause whose subject the question names, if the last clause is of another.

    Both clauses have the same verb: "the area is 24, and the perimeter is 20".
    """
    clauses = list(_CLAUSE.finditer(line)) if len(candidates) > 1 else []
    if len(clauses) < 2 or candidates[-1].start() < clauses[-1].end():
        return candidates
    asked = question[max(0, question.rfind(". ")) :].casefold()
    *earlier, last = clauses
    if _ANY.search(last["subject"] or "") or _named(last, asked):
        return candidates
    for clause, following in zip(earlier, clauses[1:], strict=True):
        verb = clause["verb"] or clause["does"]
        own = [m for m in candidates if clause.end() <= m.start() < following.start()]
        if own and verb == (last["verb"] or last["does"]) and _named(clause, asked):
            return own
    return candidates


def _named(clause: re.Match[str], asked: str) -> bool:
    """Whether a question names the subject of a clause."""
    if clause["name"]:
        return clause["name"] in asked
    parts = re.findall(r"[a-z]{3,}", re.sub(r"['’]s\b|\bthe\b", "", clause["subject"].casefold()))
    return any(re.search(rf"\b{part}", asked) for part in parts)
