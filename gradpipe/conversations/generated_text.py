"""What a model generated, divided into its thinking and its answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from gradpipe.conversations.think_blocks import THINK_MARKS, own_closings

#: The message of a channel, as gpt-oss writes it: its name, its text and the mark that ends it.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+).*?<\|message\|>(.*?)(<\|(?:end|return|call)\|>|(?=<\|start\|>)|\Z)",
    re.DOTALL,
)
_CODE = re.compile(r"```.*?```", re.DOTALL)
_QUOTES = ("`", '"', "'")
_CHANNELS = re.compile(r"\s*(?:<\|start\|>assistant)?<\|channel\|>")


class GeneratedText(NamedTuple):
    """A generated text divided: its thinking, None for a text without it, and the answer.

    ``closed`` is false if the text ends within its thinking.
    """

    reasoning: str | None
    answer: str
    closed: bool = True


def divide_generated(text: str, inside: bool = False) -> GeneratedText:
    """Divide what a model generated; a text without thinking is returned unchanged.

    ``inside``: the prompt opened a think block, in which the text begins. Without it, a closing
    mark that no opening mark precedes shows the same, unless it is quoted. Further blocks that
    begin a line are thinking too. The channels of gpt-oss are divided likewise: ``analysis`` is the
    thinking, ``final`` the answer.
    """
    if _CHANNELS.match(text):
        return _of_channels(text)
    body = text.lstrip()
    for opening, closing in THINK_MARKS.items():
        if body.startswith(opening):
            return _divided(*body.removeprefix(opening).partition(closing), opening)
    # One without its opening mark ends a block that the prompt opened.
    places = [(place, mark) for mark in own_closings() for place in _unquoted(text, mark)]
    if places:
        place, closing = min(places)
        opening = next(mark for mark, end in THINK_MARKS.items() if end == closing)
        return _divided(text[:place], closing, text[place + len(closing) :], opening)
    return _divided(text, "", "", "") if inside else GeneratedText(None, text)


def _unquoted(text: str, mark: str) -> list[int]:
    """The places of a mark that no quotation marks or backticks enclose."""
    return [
        found.start()
        for found in re.finditer(re.escape(mark), text)
        if text[: found.start()][-1:] not in _QUOTES or text[found.end() :][:1] not in _QUOTES
    ]


def _divided(thinking: str, closing: str, rest: str, opening: str) -> GeneratedText:
    thoughts, answer, closed = [thinking.strip()], "", bool(closing)
    block = re.compile(rf"^[ \t]*{re.escape(opening)}", re.MULTILINE)
    while closed and (found := block.search(rest)) and not _in_code(rest, found.end() - 1):
        answer += rest[: found.start()]
        thought, mark, rest = rest[found.end() :].partition(closing)
        thoughts.append(thought.strip())
        closed = bool(mark)
    reasoning = "\n\n".join(filter(None, thoughts)) or None
    return GeneratedText(reasoning, (answer + rest).strip(), closed)


def _in_code(text: str, place: int) -> bool:
    return any(found.start() < place < found.end() for found in _CODE.finditer(text))


def _of_channels(text: str) -> GeneratedText:
    messages = _CHANNEL.findall(text)
    thoughts = [body.strip() for channel, body, _ in messages if channel == "analysis"]
    answers = [body.strip() for channel, body, _ in messages if channel == "final"]
    closed = bool(answers or (messages and messages[-1][2]))
    return GeneratedText("\n\n".join(thoughts).strip() or None, "\n\n".join(answers), closed)
