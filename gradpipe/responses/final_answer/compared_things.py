"""Whether a conclusion compares the things of a question, and which of them comes out ahead."""

import re
from typing import Literal

from gradpipe.responses.final_answer.concluding_sentences import stem, stems_in_order, words

_COMPARES = re.compile(r"(?i)\bthan\b|\bas \w+ as\b|\b(?:tie|same|most|least|only)\b|\b\w{3,}est\b")
#: Who does it to whom decides: "the train would win against the tortoise" says no of the tortoise.
_OF_TWO = re.compile(
    r"(?i)\b(?:prefer|against|beat|defeat|win|surpass\w*|exceed|outnumber|outlast|outperform)\b"
    r"|\bover (?:an?|the)\b"
)
_DIRECTION = re.compile(r"(?i)\b(?:more|less|fewer|better|worse|\w{3,}er)\b(?=.*\bthan\b)")
#: What divides two things of which only one can come out ahead.
_BETWEEN = re.compile(
    r"(?i)\b(?P<verb>beat|defeat|surpass|exceed"
    r"|out(?:number|last|perform|live|weigh|shine|run|rank|grow|sell|score|pace|do)"
    r"|(?:win|won)\b(?=[^.;]*\bagainst\b))\w*(?P<passive> by\b)?|\bthan\b"
)

Relation = Literal["same", "reversed", "other"]


def relation(asked: str, clause: str, *, enough: bool) -> Relation:
    """How ``clause`` compares what ``asked`` compares: alike, the other way around, or else.

    A question that compares nothing is the same. ``enough`` says that the clause has most words of
    the question.
    """
    compares = [found[0].casefold() for found in _COMPARES.finditer(asked)]
    if not compares and not _BETWEEN.search(asked) and not _OF_TWO.search(asked):
        return "same"
    directions = [set(map(str.casefold, _DIRECTION.findall(text))) for text in (asked, clause)]
    said = clause.casefold()
    if any(word not in said for word in compares) or directions[0] != directions[1]:
        return "other"
    if ahead := _ahead(asked, clause):
        return ahead
    if not enough or len(_BETWEEN.findall(clause)) > 1:
        return "other"
    first, second = stems_in_order(asked), stems_in_order(clause)
    ordered = [word for word in first if word in second] == [w for w in second if w in first]
    passive = [bool(re.search(r"\w+ed by\b", text)) for text in (asked, clause)]
    # Two things that are the same are so in any order.
    alike = set(compares) == {"same"} or (ordered and passive[0] == passive[1])
    return "same" if alike else "other"


def _ahead(asked: str, clause: str) -> Relation | None:
    """Whether the same one of two things comes out ahead; None if it is not clear."""
    asks, says = list(_BETWEEN.finditer(asked)), list(_BETWEEN.finditer(clause))
    if len(asks) != 1 or len(says) != 1 or _verb(asks[0]) != _verb(says[0]):
        return None
    mine, theirs = asks[0], says[0]
    left, right = words(asked[: mine.start()]), words(asked[mine.end() :])
    before, behind = words(clause[: theirs.start()]), words(clause[theirs.end() :])
    straight = len(left & before) + len(right & behind) if left & before and right & behind else 0
    crossed = len(left & behind) + len(right & before) if left & behind and right & before else 0
    if straight == crossed:
        return None
    turned = bool(mine["passive"]) != bool(theirs["passive"])
    return "same" if (straight > crossed) != turned else "reversed"


def _verb(between: re.Match[str]) -> str:
    return stem((between["verb"] or "").casefold())
