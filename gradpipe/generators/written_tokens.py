"""The tokens that a local model wrote, read as thinking and answer."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

from gradpipe.conversations.examples import Conversation
from gradpipe.conversations.generated_text import GeneratedText, divide_generated
from gradpipe.conversations.stop_tokens import cut_stop_tokens
from gradpipe.gradients.chat_templates import INSTRUCTION_MARKER, RESPONSE_MARKER, ChatTemplate
from gradpipe.gradients.template_renderer import TemplateRefusal


class WrittenText(NamedTuple):
    """A response's thinking, its answer, the tokens of the thinking, and what was cut."""

    reasoning: str | None
    text: str
    reasoning_tokens: int | None
    cut: str | None


class TokenReader:
    """Reads tokens as text; ``ends`` are the tokens that end a response."""

    def __init__(self, tokenizer: Any, ends: list[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = [tokenizer.decode([end]) for end in ends]

    def read(self, tokens: list[int], inside: bool) -> WrittenText:
        """Return the text of a response's tokens without its end; ``inside``: it begins within a
        think block that the prompt opened.
        """
        # The marks of some models are special tokens.
        raw = self._tokenizer.decode(tokens, skip_special_tokens=False)
        part = divide_generated(raw, inside)
        answer = cut_stop_tokens(part.answer, self._ends)
        if part.reasoning is not None or not part.closed:
            reasoning = self._plain(part.reasoning or "") or None
            count = None if reasoning is None else self._thinking_tokens(tokens, raw, part)
            return WrittenText(reasoning, self._plain(answer.text), count, answer.cut)
        if answer.cut is not None:
            return WrittenText(None, self._plain(answer.text), None, answer.cut)
        shown = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return WrittenText(None, divide_generated(shown, inside).answer, None, None)

    def _thinking_tokens(self, tokens: list[int], raw: str, part: GeneratedText) -> int:
        """The number of tokens up to the end of the thinking, with its closing mark."""
        if not part.closed or not part.answer:
            return len(tokens)
        before = len(raw[: raw.rindex(part.answer)].rstrip()) if part.answer in raw else len(raw)
        return bisect_left(
            range(len(tokens)), before, key=lambda count: self._length(tokens[:count])
        )

    def _length(self, tokens: list[int]) -> int:
        return len(self._tokenizer.decode(tokens, skip_special_tokens=False))

    def _plain(self, text: str) -> str:
        for special in self._tokenizer.all_special_tokens:
            text = text.replace(special, "")
        return text.strip()


def end_tokens(model: Any, tokenizer: Any, template: ChatTemplate) -> list[int]:
    """Return the tokens that end a response: the model's, its tokenizer's and its template's.

    Some models name only the end of a text, while their template ends turns with another token.
    """
    own = getattr(model.generation_config, "eos_token_id", None)
    ends = own if isinstance(own, list) else [own]
    ends = [*ends, tokenizer.eos_token_id, _end_of_turn(template, tokenizer)]
    return list(dict.fromkeys(int(end) for end in ends if end is not None))


def _end_of_turn(template: ChatTemplate, tokenizer: Any) -> int | None:
    """The special token that a template writes right after an assistant's turn, or None."""
    asked = {"role": "user", "content": INSTRUCTION_MARKER}
    said = {"role": "assistant", "content": RESPONSE_MARKER}
    try:
        after = template.rendered(Conversation((asked, said))).partition(RESPONSE_MARKER)[2]
    except TemplateRefusal:
        return None
    ids = tokenizer(after, add_special_tokens=False, verbose=False)["input_ids"] if after else []
    return int(ids[0]) if ids and ids[0] in tokenizer.all_special_ids else None
