"""Divide the loss of a row into named spans, by the text of its response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradpipe.conversations.examples import TextSpan
from gradpipe.conversations.spans import DivisionError, TokenSpan, divide_response, token_spans
from gradpipe.conversations.think_blocks import opens_thinking
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.tokens import TokenRow

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


def with_spans(row: TokenRow, response: ResponseText, protocol: Protocol) -> TokenRow:
    """Return a row with the spans that the protocol asks for, unusable if it cannot be divided.

    Loss before the response is in the span EARLIER_TURNS.
    """
    if protocol.spans is None:
        return row
    try:
        spans = divide_response(
            response.text[response.start : response.end],
            protocol.spans,
            step_pattern=protocol.step_pattern,
            named=response.named,
            inside=opens_thinking(response.text[: response.start], protocol.all_think_marks),
            marks=protocol.all_think_marks,
        )
    except DivisionError as error:
        return replace(row, reason=str(error))
    earlier = [at for at in row.positions if response.offsets[at][1] <= response.start]
    later = [at for at in row.positions if at not in set(earlier)]
    found = token_spans(spans, response.offsets, later, response.start)
    before = (TokenSpan(EARLIER_TURNS, tuple(earlier)),) if earlier else ()
    return replace(row, spans=before + found)
