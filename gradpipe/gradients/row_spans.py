"""Divide the loss of a row into named spans, by the text of its response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradpipe.conversations.examples import TextSpan
from gradpipe.conversations.spans import (
    DivisionError,
    TokenSpan,
    divide_response,
    think_spans,
    token_spans,
)
from gradpipe.conversations.think_blocks import opens_thinking
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.responses.answer_place import AnswerPlace, stated_place

#: The span of the loss on turns before the last one.
EARLIER_TURNS = "earlier_turns"


@dataclass(frozen=True)
class ResponseText:
    """A row's whole ``text``, the characters of each token, and where its response is in it.

    ``named`` are the spans that the data name, as characters of the response.
    """

    text: str
    offsets: Sequence[tuple[int, int]]
    start: int
    end: int
    named: tuple[TextSpan, ...] = ()

    @property
    def response(self) -> str:
        """The text of the response."""
        return self.text[self.start : self.end]

    @property
    def prompt(self) -> str:
        """The text before the response."""
        return self.text[: self.start]


def with_spans(row: TokenRow, response: ResponseText, protocol: Protocol) -> TokenRow:
    """Return a row with the spans that the protocol asks for, unusable if it cannot be divided.

    Loss before the response is in the span EARLIER_TURNS. A row without a final answer is usable:
    it has no spans.
    """
    if protocol.spans is None:
        return row
    earlier = [at for at in row.positions if response.offsets[at][1] <= response.start]
    later = [at for at in row.positions if at not in set(earlier)]
    try:
        if protocol.spans == "final_answer":
            found = final_answer_spans(response, later, protocol)
        else:
            found = _divided(response, later, protocol)
    except DivisionError as error:
        return replace(row, reason=str(error))
    before = (TokenSpan(EARLIER_TURNS, tuple(earlier)),) if earlier and found else ()
    return replace(row, spans=before + found)


def _divided(
    response: ResponseText, positions: Sequence[int], protocol: Protocol
) -> tuple[TokenSpan, ...]:
    marks = protocol.all_think_marks
    spans = divide_response(
        response.response,
        protocol.spans or "",
        step_pattern=protocol.step_pattern,
        named=response.named,
        inside=opens_thinking(response.prompt, marks),
        marks=marks,
    )
    return token_spans(spans, response.offsets, positions, response.start)


def final_answer_spans(
    response: ResponseText, positions: Sequence[int], protocol: Protocol
) -> tuple[TokenSpan, ...]:
    """Divide loss positions into ``rest`` and ``final_answer``; () without a final answer.

    A token belongs to the final answer if it has one of its characters, so that the answer has the
    same text after any chain of thought. What a template writes behind the response is ``rest``.
    """
    place = _final_answer(response, protocol)
    if place is None:
        return ()
    start, end = (response.start + character for character in place)
    spans: dict[str, list[int]] = {}
    for at in positions:
        first, last = response.offsets[at]
        inside = first < last and first < end and last > start
        spans.setdefault("final_answer" if inside else "rest", []).append(at)
    if "final_answer" not in spans:
        return ()
    return tuple(TokenSpan(name, tuple(places)) for name, places in spans.items())


def _final_answer(response: ResponseText, protocol: Protocol) -> AnswerPlace | None:
    """The place of the final answer in a response; thinking has none."""
    text, marks = response.response, protocol.all_think_marks
    try:
        parts = think_spans(text, opens_thinking(response.prompt, marks), marks)
    except DivisionError:
        return None
    if not parts or parts[-1].name != "answer":
        return None
    start = parts[-1].start
    place = stated_place(text[start:], response.prompt)
    return place and AnswerPlace(start + place.start, start + place.end)
