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
    mark that no opening mark precedes shows the same. The channels of gpt-oss are divided too:
    ``analysis`` is the thinking, ``final`` the answer.
    """
    if _CHANNELS.match(text):
        return _of_channels(text)
    body = text.lstrip()
    for opening, closing in THINK_MARKS.items():
        if body.startswith(opening):
            return _divided(*body.removeprefix(opening).partition(closing))
    # One without its opening mark ends a block that the prompt opened.
    places = [(text.index(closing), closing) for closing in own_closings() if closing in text]
    if places:
        return _divided(*text.partition(min(places)[1]))
    return _divided(text, "", "") if inside else GeneratedText(None, text)


def _divided(thinking: str, closing: str, answer: str) -> GeneratedText:
    return GeneratedText(thinking.strip() or None, answer.strip(), bool(closing))


def _of_channels(text: str) -> GeneratedText:
    messages = _CHANNEL.findall(text)
    thoughts = [body.strip() for channel, body, _ in messages if channel == "analysis"]
    answers = [body.strip() for channel, body, _ in messages if channel == "final"]
    closed = bool(answers or (messages and messages[-1][2]))
    return GeneratedText("\n\n".join(thoughts).strip() or None, "\n\n".join(answers), closed)
