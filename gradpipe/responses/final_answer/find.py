"""Find the final answer of a response, of the kind that its gold answer has."""

import re

from gradpipe.responses.final_answer.compare import quantity
from gradpipe.responses.final_answer.concluding_sentences import words
from gradpipe.responses.final_answer.evidence import FoundAnswer, correction, marks
from gradpipe.responses.final_answer.formula_answers import find_formula
from gradpipe.responses.final_answer.kinds import Kind, answer_kind, bare_gold, is_list
from gradpipe.responses.final_answer.labels import find_label
from gradpipe.responses.final_answer.number_answers import find_number
from gradpipe.responses.final_answer.numbers import value
from gradpipe.responses.final_answer.options import find_option
from gradpipe.responses.final_answer.phrases import find_phrase
from gradpipe.responses.final_answer.readable import first_turn, is_another_turn, readable
from gradpipe.responses.final_answer.yes_no import find_yes_or_no
from gradpipe.responses.sentences import sentences

#: A text that asks back, or that is cut off within a sentence, ends on no answer.
_UNFINISHED = re.compile(
    r"(?i)\b(?:could|can|would|will) you (?:please )?(?:tell|clarify|provide|share|specify|give|say"
    r"|confirm|let me know|check)\b[^?]*\?\W*\Z"
    r"|(?<!\\)\b(?:the|an|to|of|and|is|are|by|with|from|we|that|then|which|so)\s*\Z|(?:[=+×÷]|\\times)\s*\Z"
)
_EXPLAINED = re.compile(
    r"(?is)\s*((?!\W*(?:question|problem|step)\b)\S.{0,119}?)\n+[*#_\s]*(?:explanation|reasoning"
    r"|justification|reason|rationale|why)\b[*_]*(?::|\s*\n)"
)
_LABELED = re.compile(r"(?i)\W*(?:correct|final|answer|chosen|selected|right)\b[^:\n]{0,30}:")
_CONCLUDES = re.compile(r"(?i)\b(?:therefore|thus|hence|so|conclu\w+|answer)\b")
#: A text that begins with its answer to a question that asks for one of two.
_YES_OR_NO = re.compile(r"(?i)[\s*_\"]*(?:yes|no|true|false)[*_\"]*[.,!:;]")
#: Evidence that no further text is needed for.
_STATES = ("mark", "box", "statement")
#: The share of a question's words that its repetition has.
_REPEATED = 0.8


def final_answer(text: str, gold: str, question: str | None = None) -> str | None:
    """The final answer in ``text``, of the kind of ``gold``; None if there is no such answer.

    ``question`` makes its options known. An option's letter is then also found by the option's text
    or value, and an option's text wherever the response settles on it.
    """
    found = find_answer(text, gold, question)
    return None if found is None else found.answer


def find_answer(text: str, gold: str, question: str | None = None) -> FoundAnswer | None:
    """The final answer in ``text`` with its evidence; see ``final_answer``.

    The value of ``gold`` never enters the search, only its kind, and the word of a label.
    """
    kind, asked, gold = answer_kind(gold), readable(question or ""), bare_gold(gold)
    plain = readable(text)
    turn = first_turn(plain)
    for part in dict.fromkeys((turn, plain if _repeats(plain[len(turn) :], asked) else turn)):
        if not part.strip():
            continue
        if (corrected := correction(part)) and (found := _read(corrected, kind, gold, asked)):
            return found._replace(evidence="correction")
        head = _explained(part)
        found = _read(head, kind, gold, asked) if head else None
        found = found or _read(part, kind, gold, asked)
        if found and not (found.evidence == "last" and _UNFINISHED.search(part)):
            return found
    return None


def stated_before_cut(text: str, gold: str, question: str | None = None) -> str | None:
    """The final answer that a text states in full before it is cut off; None if it does not.

    A text that is cut off within a question or a turn that the model invented is complete before.
    """
    plain = readable(text)
    turn = first_turn(plain)
    if len(turn) < len(plain):
        return final_answer(turn, gold, question)
    if correction(plain):
        return None
    if head := _explained(plain):
        return final_answer(head, gold, question)
    complete = sentences(plain)[:-1]
    found, whole = (find_answer(one, gold, question) for one in ("".join(complete), plain))
    if found is None or (whole and whole.answer != found.answer):
        return None
    return found.answer if found.evidence in _STATES or _begins(complete, gold, question) else None


def _begins(complete: list[str], gold: str, question: str | None) -> bool:
    """Whether a text begins with its yes or no, and names something of the question."""
    if answer_kind(gold) != "yes_no" or not complete or not _YES_OR_NO.match(complete[0]):
        return False
    return bool(words(complete[0]) & words(question or ""))


def _explained(text: str) -> str | None:
    """The answer before a section that only explains it; None if that concludes anything."""
    found = _EXPLAINED.match(text)
    if not found or marks(text[found.end() :]):
        return None
    if not _LABELED.match(found[1]) and _CONCLUDES.search(text, found.end()):
        return None
    return found[1]


def _repeats(rest: str, question: str) -> bool:
    """Whether ``rest`` begins with the question itself, and not with one that the model invented.

    A turn of another speaker never does.
    """
    if rest.startswith("<|") or not question or not is_another_turn(rest):
        return not rest.startswith("<|")
    words = set(re.findall(r"[a-z]{4,}|\d+", question.casefold()))
    said = set(re.findall(r"[a-z]{4,}|\d+", rest.casefold()))
    # The same story with other numbers is another question.
    given = set(filter(str.isdecimal, words))
    return given <= said and len(words & said) >= _REPEATED * len(words)


def _read(text: str, kind: Kind, gold: str, question: str) -> FoundAnswer | None:
    if kind == "yes_no":
        about_truth = gold.strip(" .").casefold() in ("true", "false")
        return find_yes_or_no(text, ("true", "false") if about_truth else ("yes", "no"), question)
    if kind == "option":
        return find_option(text, question)
    if kind == "label":
        return find_label(text, gold.split(maxsplit=1)[0], question)
    if kind == "number" or (
        kind == "formula" and not is_list(gold) and (value(gold) or quantity(gold))
    ):
        found = find_number(text, question)
        has_unit = found and found.unit and value(gold) is None
        return (
            found._replace(answer=f"{found.answer} {found.unit}") if found and has_unit else found
        )
    if kind == "phrase":
        return find_phrase(text, question)
    several = bool(re.search(r"^[^(\[]*,|\\\{|\b(?:and|or)\b", gold)) and not re.search(
        r"[(\[|]", gold
    )
    return find_formula(text, question, several=several)
