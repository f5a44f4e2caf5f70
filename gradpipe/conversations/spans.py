"""A response divided into named spans, and the tokens that belong to each of them.

The spans of a response partition it: each of its characters is in exactly one of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from gradpipe.conversations.examples import TextSpan
from gradpipe.conversations.think_blocks import THINK_MARKS

_HARMONY = "<|channel|>analysis<|message|>"
#: The header of the message that follows the analysis of gpt-oss.
_HARMONY_HEADER = (
    r"<\|start\|>assistant<\|channel\|>(?!analysis)(?:(?!<\|message\|>).)*<\|message\|>"
)
_BLANK_LINE = re.compile(r"(?<=\n)[^\S\n]*\n\s*")


class _Marks(NamedTuple):
    """Patterns of think marks: what opens a block, and what closes it, by its opening mark.

    ``lone`` is what closes a block that the response does not open.
    """

    opening: re.Pattern[str]
    closing: dict[str, re.Pattern[str]]
    lone: re.Pattern[str]


@lru_cache
def _patterns(marks: tuple[tuple[str, str], ...]) -> _Marks:
    closings = {opening: re.escape(closing) for opening, closing in marks}
    # Other models end turns with ``<|end|>``.
    lone = closings | {_HARMONY: rf"<\|end\|>\s*{_HARMONY_HEADER}"}
    # More analysis may follow: its header is then a block of its own.
    closings[_HARMONY] += rf"(?:\s*(?:{_HARMONY_HEADER}|<\|start\|>assistant))?"
    return _Marks(
        opening=re.compile("|".join(map(re.escape, closings))),
        closing={opening: re.compile(text, re.DOTALL) for opening, text in closings.items()},
        lone=re.compile("|".join(lone.values()), re.DOTALL),
    )


@dataclass(frozen=True)
class TokenSpan:
    """A named stretch of a row's loss: the ``positions`` in ``ids`` of its tokens, ascending."""

    name: str
    positions: tuple[int, ...]


class DivisionError(Exception):
    """Says why a response cannot be divided, for the row's ``reason``."""


def divide_response(
    response: str,
    division: str,
    *,
    step_pattern: str | None = None,
    named: Sequence[TextSpan] = (),
    inside: bool = False,
    marks: Mapping[str, str] = THINK_MARKS,
) -> tuple[TextSpan, ...]:
    """Divide a response into spans that partition it; an empty response has none.

    ``division`` is "think", "steps" (see ``step_pattern``) or "data" (see ``named``). ``inside``
    says, for "think", whether the prompt has opened a think block, and ``marks`` are those of think
    blocks. Raises DivisionError for a
    think block that is not closed, and for named spans that overlap or reach beyond the response.
    """
    if division == "think":
        return think_spans(response, inside, marks)
    if division == "steps":
        return step_spans(response, step_pattern)
    return named_spans(response, named)


def think_spans(
    response: str, inside: bool = False, marks: Mapping[str, str] = THINK_MARKS
) -> tuple[TextSpan, ...]:
    """Divide a response into ``think`` and ``answer``.

    A think block has its marks and the white space around it; there may be several, and answers
    between them. A response without a block is one answer. If its first mark closes a block, the
    prompt has opened it, and the response begins inside; ``inside`` says so of the prompt. Raises
    DivisionError for a block that is not closed.
    """
    spans: list[TextSpan] = []
    patterns = _patterns(tuple(marks.items()))
    divided = 0
    for start, end in [*_think_blocks(response, inside, patterns), (len(response), len(response))]:
        parts = TextSpan("answer", divided, start), TextSpan("think", start, end)
        spans += [span for span in parts if span.start < span.end]
        divided = end
    return tuple(spans)


def _think_blocks(response: str, inside: bool, marks: _Marks) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each think block, with the white space around it."""
    place = 0
    first, closing = marks.opening.search(response), marks.lone.search(response)
    if closing and (first is None or closing.start() < first.start()):
        place = _behind_white_space(response, closing.end())
        yield 0, place
    elif inside and not (first and not response[: first.start()].strip()):
        raise DivisionError("the think block that the prompt opens is not closed")
    while opening := marks.opening.search(response, place):
        closed = marks.closing[opening[0]].search(response, opening.end())
        if closed is None:
            raise DivisionError(f"the think block {opening[0]} is not closed")
        start = place + len(response[place : opening.start()].rstrip())
        place = _behind_white_space(response, closed.end())
        yield start, place


def _behind_white_space(text: str, place: int) -> int:
    return len(text) - len(text[place:].lstrip())


def step_spans(response: str, pattern: str | None = None) -> tuple[TextSpan, ...]:
    """Divide a response into ``step_1`` to ``step_n`` at blank lines, or where ``pattern`` matches.

    ``^`` and ``$`` of the pattern match at lines. Text before its first match is a step of its own.
    White space before the first step belongs to it, other white space to the step before.
    """
    if pattern is None:
        starts = [match.end() for match in _BLANK_LINE.finditer(response)]
    else:
        starts = [match.start() for match in re.finditer(pattern, response, re.MULTILINE)]
    bounds = [0]
    for start in starts:
        # A step has more than white space.
        if response[bounds[-1] : start].strip() and response[start:].strip():
            bounds.append(start)
    return tuple(
        TextSpan(f"step_{number}", start, end)
        for number, (start, end) in enumerate(pairwise([*bounds, len(response)]), 1)
        if start < end
    )


def named_spans(response: str, named: Sequence[TextSpan]) -> tuple[TextSpan, ...]:
    """Complete the spans that the data name: what is in none of them is in ``rest``.

    White space before a named span belongs to it, since tokens of words begin with the space
    before; white space at the end belongs to the last span. Raises DivisionError for spans that
    overlap or reach beyond the response.
    """
    spans: list[TextSpan] = []
    end = 0
    for span in sorted(named, key=lambda span: (span.start, span.end)):
        if not 0 <= span.start <= span.end <= len(response):
            raise DivisionError(
                f"the span {span.name!r} from character {span.start} to {span.end} reaches beyond "
                f"the response, which has {len(response)} characters"
            )
        if span.start < end:
            raise DivisionError(f"the span {span.name!r} overlaps the one before it")
        if span.start == span.end:
            continue
        start = end + len(response[end : span.start].rstrip())
        if end < start:
            spans.append(TextSpan("rest", end, start))
        spans.append(TextSpan(span.name, start, span.end))
        end = span.end
    if spans and not response[end:].strip():
        spans[-1] = TextSpan(spans[-1].name, spans[-1].start, len(response))
    elif end < len(response):
        spans.append(TextSpan("rest", end, len(response)))
    return tuple(spans)


def token_spans(
    text_spans: Sequence[TextSpan],
    offsets: Sequence[tuple[int, int]],
    positions: Sequence[int],
    response_start: int,
) -> tuple[TokenSpan, ...]:
    """Assign each of a row's loss positions to the span with its token's first character.

    ``text_spans`` partition the response, which starts at the character ``response_start`` of the
    text that ``offsets`` (start and end of each token) refer to. Tokens behind the response, such
    as the end of the turn, belong to the last span; a token without characters belongs to the span
    of the token before it. Spans of one name are one span; spans without a token are left out.
    """
    if not text_spans:
        return ()
    starts = [span.start for span in text_spans]
    found: dict[str, list[int]] = {}
    name = text_spans[0].name
    for position in positions:
        start, end = offsets[position]
        if start < end:
            first = max(start - response_start, 0)
            name = text_spans[max(bisect_right(starts, first) - 1, 0)].name
        found.setdefault(name, []).append(position)
    return tuple(TokenSpan(name, tuple(places)) for name, places in found.items())
