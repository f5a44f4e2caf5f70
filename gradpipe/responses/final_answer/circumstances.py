"""What a text supposes or adds beside its number, and where it says the number before that."""

import re
from fractions import Fraction

from gradpipe.responses.final_answer.concluding_sentences import CONCLUDES
from gradpipe.responses.final_answer.numbers import UNITS, number_matches, numbers, spelled_number
from gradpipe.responses.sentences import sentences

#: "Adding the two would give 40%" says what is not done.
_SUPPOSED = re.compile(
    r"(?i)(?:(?<=[;:,.!?] )|(?<=\n)|(?<=\A))(?:(?:but|and|while|whereas|so) )?"
    r"(?:(?:simply|just|merely|only) )?[a-z]{2,}ing\b[^;.!?\n]*? would (?:only |just |wrongly )?"
    r"(?:give|yield|suggest|result in|lead to)\b(?:[^;.!?\n]|\.(?=\d))*"
)
#: "10 units from each of the two".
_AWAY = re.compile(
    rf"(?i)[\d.,]*\d\s(?:{UNITS}\s)?(?:away\s)?from\s(?:each|both|either)\b[^;.!?\n]*"
)
_ASKS_DISTANCE = re.compile(r"(?i)\b(?:how far|distance|apart|away|units|from)\b")
_BOLD = re.compile(r"\s*(\*\*|__)(?P<inside>[^*_\n]+)\1(?P<behind>[.!]?)(?=\s+\S)")
_ASKS_SOLUTION = re.compile(r"(?i)\b(?:solve|solution)\b")
#: A second task, for which the solution is only a step.
_ASKS_MORE = re.compile(
    r"(?i)\b(?:and|then)\b,? (?:then )?(?:find|give|compute|calculate|evaluate|state|what|how)\b"
    r"|\b(?:what|how|sum|product|difference|value of)\b"
)
_SOLUTION = re.compile(
    r"(?i)\b(?:the|its) (?:only )?solution (?:(?:of|to|for) [^,.;]{1,60} )?is\b[\s:$\\(*]*"
    r"(?:[a-z]\s*=\s*)?"
)
_ENDS = re.compile(r"[\s$\\)*]*(?:[,.;]|\Z|(?:and|since|because|as)\b)")


def without_circumstances(text: str, question: str) -> str:
    """``text`` without the results that it supposes, and the distances that it adds; places stay.

    A result stays if no other number is left, and a distance where the question asks for one.
    """
    for pattern in (_SUPPOSED, *(() if _ASKS_DISTANCE.search(question) else (_AWAY,))):
        blank = pattern.sub(lambda found: "\x02" * len(found[0]), text)
        if numbers(blank) or spelled_number(blank):
            text = blank
    return text


def begins_with_bold(text: str) -> re.Match[str] | None:
    """The number that a text begins with as a bold sentence before its reasons: "**43%.** After".

    None if anything else is in bold, or if a later sentence concludes.
    """
    bold = _BOLD.match(text)
    if not bold or not (bold["behind"] or bold["inside"].rstrip()[-1:] in (".", "!")):
        return None
    rest = text[bold.end() :]
    found = number_matches(text[: bold.end()])
    # "**1.**" numbers a step.
    step = re.fullmatch(r"\s*\d{1,2}\.\s*", bold["inside"]) and re.search(r"\n\s*\d", rest)
    if len(found) != 1 or step or "**" in rest or "__" in rest:
        return None
    said = text[: found[0].start()], text[found[0].end() : bold.end()]
    unit = said[1].strip(" *_.!%")
    if said[0].strip(" *_$\n") or (unit and not re.fullmatch(rf"percent|{UNITS}", unit)):
        return None
    return None if any(map(CONCLUDES.match, sentences(rest))) else found[0]


def negative_in_words(sentence: str) -> tuple[str, int | Fraction] | None:
    """The number of "So it is negative four."; None if the sentence has digits."""
    if numbers(sentence) or not CONCLUDES.match(sentence):
        return None
    spelled = spelled_number(sentence)
    return spelled if spelled and spelled[1] < 0 else None


def stated_solution(sentence: str, question: str) -> re.Match[str] | None:
    """The number of "So the solution is x = 3, and the sides equal 7", if no more is asked."""
    found = _SOLUTION.search(sentence)
    if not found or not _ASKS_SOLUTION.search(question) or _ASKS_MORE.search(question):
        return None
    number = next((m for m in number_matches(sentence) if m.start() >= found.end()), None)
    direct = number and number.start() == found.end() and _ENDS.match(sentence, number.end())
    return number if direct else None
