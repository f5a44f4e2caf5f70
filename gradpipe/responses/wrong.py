"""Wrong responses: on topic, fluent, and with another final answer than the gold one.

``edited`` ones are correct responses of which only the final statement is changed: right reasoning,
wrong final answer. What the reasoning says of the answer before stays, and contradicts it.
``mismatches`` are responses of a generator whose final answer is not the gold one: the reasoning
is wrong too, and an item has no correct response of the same style beside them.
"""

import re
from typing import Literal

import polars as pl

from gradpipe.responses.answer_place import AnswerPlace, answer_place
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.final_answer.options import listed_options
from gradpipe.responses.other_answers import other_answer

Wrong = Literal["edited", "mismatches"]


def wrong_responses(correct: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Edit correct responses into wrong ones: ``item_id`` and ``text``, in the order of the rows.

    ``correct`` has ``item_id``, ``instruction``, ``answer`` and ``text``. A response is skipped if
    its item has no answer, its final answer is not the gold one or is not written out, or there is
    no other answer of the same form. See ``other_answer``.
    """
    rows = correct.select("instruction", "answer", "text").iter_rows()
    edited = [wrong_response(text, answer, question, seed) for question, answer, text in rows]
    texts = pl.Series("text", edited, dtype=pl.String)
    return correct.select("item_id").with_columns(texts).drop_nulls("text")


def wrong_response(text: str, gold: str | None, question: str | None, seed: int) -> str | None:
    """Return ``text`` with another final answer than ``gold``; None if it cannot be edited."""
    if gold is None or not states_answer(text, gold, question):
        return None
    other = other_answer(gold, question or "", seed)
    place = answer_place(text, gold, question)
    if other is None or place is None:
        return None
    edited = _replaced(text, place, gold=gold, other=other, question=question or "")
    found = final_answer(edited, gold, question)
    # A response that also states its answer elsewhere would still be counted as correct.
    return None if found is None or same_answer(found, gold) else edited


def states_answer(text: str, gold: str, question: str | None) -> bool:
    """Whether the final answer of ``text`` is the gold one, as the gates judge it."""
    found = final_answer(text, gold, question)
    return found is not None and same_answer(found, gold)


def _replaced(text: str, place: AnswerPlace, *, gold: str, other: str, question: str) -> str:
    """Write the other answer where the final one is, in its form."""
    written, rest = text[place.start : place.end], text[place.end :]
    kind = answer_kind(gold)
    if kind == "yes_no":
        other = other.capitalize() if written[0].isupper() else other.casefold()
    elif kind == "option":
        own, new = (re.sub(r"\W", "", answer) for answer in (gold, other))
        other, texts = written.replace(own, new), dict(listed_options(question))
        lead = re.match(r"\s*", rest)
        behind = rest[lead.end() :] if lead else rest
        # "(C) 12": the option's text goes with its letter.
        if own in texts and new in texts and behind.startswith(texts[own]):
            rest = rest[: len(rest) - len(behind)] + texts[new] + behind[len(texts[own]) :]
    elif kind == "number":
        other = _like(written, other)
    return text[: place.start] + other + rest


def _like(written: str, number: str) -> str:
    """A number without thousands separators, where the answer that it replaces has none."""
    return number if "," in written else number.replace("{,}", "").replace(",", "")
