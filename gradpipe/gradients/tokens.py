"""Tokenize (instruction, response) pairs and find where the response starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gradpipe.conversations.examples import Pair
from gradpipe.conversations.spans import (
    DivisionError,
    TokenSpan,
    divide_response,
    token_spans,
)
from gradpipe.conversations.think_blocks import opens_thinking
from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenRow:
    """A tokenized example: ``ids`` of prompt and response; the response is ``ids[start:]``.

    ``mask`` has the positions that carry loss, ascending, where these are not all of the response.
    ``spans`` divide the loss: each of its positions is in exactly one of them. ``reason`` says why
    the row is unusable; None for a usable row.
    """

    ids: list[int]
    start: int
    truncated: bool
    reason: str | None = None
    mask: tuple[int, ...] | None = None
    spans: tuple[TokenSpan, ...] = ()

    @property
    def positions(self) -> Sequence[int]:
        """Positions of the tokens with a loss; nothing predicts the first token of a text."""
        if self.mask is None:
            return range(max(self.start, 1), len(self.ids))
        return [position for position in self.mask if position]

    @property
    def response_tokens(self) -> int:
        """The number of tokens with a loss."""
        return len(self.positions)


class Encoder:
    """Tokenizes pairs with one tokenizer under one protocol.

    ``name`` is the model's name as the user wrote it; the ``paper`` protocol looks for "gemma" in
    it. ``window`` is the model's longest input in tokens, None if unlimited. Raises ModelError if
    the protocol asks for a chat template and the tokenizer has none.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        protocol: Protocol,
        name: str = "",
        window: int | None = None,
    ) -> None:
        protocol = protocol.for_model(name)
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if protocol.chat and not has_template:
            raise ModelError(
                f"The tokenizer of {name or 'this model'} has no chat template: use an "
                "instruction-tuned model, or turn the chat template off (chat: false, --no-chat)."
            )
        if protocol.spans and not tokenizer.is_fast:
            raise ModelError(
                f"The tokenizer of {name or 'this model'} does not say which characters its tokens "
                "stand for, so responses cannot be divided into spans: use a model with a fast "
                "tokenizer, or leave the protocol's spans out."
            )
        self.tokenizer: Any = tokenizer
        self.protocol = protocol
        self.chat = has_template if protocol.chat is None else protocol.chat
        self.window = min(protocol.max_length, window or protocol.max_length)
        self._template = ChatTemplate(tokenizer, protocol, name) if self.chat else None
        self._special = protocol.special_tokens == "always" or not self.chat
        self._leading, self._trailing = self._added_tokens()

    def _added_tokens(self) -> tuple[int, int]:
        """How many special tokens the tokenizer adds before a text, and after it."""
        if not self._special:
            return 0, 0
        plain, whole = self._encoded("x", special=False), self._encoded("x", special=True)
        places = range(len(whole) - len(plain) + 1 if plain else 0)
        before = next((i for i in places if whole[i : i + len(plain)] == plain), None)
        return (0, 0) if before is None else (before, len(whole) - len(plain) - before)

    def _encoded(self, text: str, special: bool) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=special, verbose=False)
        return list(encoded["input_ids"])

    def prompt(self, instruction: str, response: str = "") -> str:
        """Return the text before the response; raises ModelError if the chat template fails.

        The response decides whether a think block that the template opens is closed.
        """
        if self._template is None:
            return instruction + "\n"
        return self._template.prompt(instruction, response)

    def encode(self, pair: Pair) -> TokenRow:
        """Tokenize a pair, truncated to the window; unusable pairs get a ``reason``."""
        fault = _fault("instruction", pair.instruction) or _fault("response", pair.response)
        if fault or pair.instruction is None or pair.response is None:
            return TokenRow(ids=[], start=0, truncated=False, reason=fault)
        prompt = self.prompt(pair.instruction, pair.response)
        if pair.instruction.strip() not in prompt:
            reason = "the chat template leaves the instruction out of the prompt, or changes it"
            return TokenRow(ids=[], start=0, truncated=False, reason=reason)
        text = prompt + pair.response
        encoded = self.tokenizer(
            text,
            add_special_tokens=self._special,
            return_offsets_mapping=self.tokenizer.is_fast,
            truncation=False,
            verbose=False,
        )
        ids = self._without_appended(text, list(encoded["input_ids"]))
        if self.protocol.boundary == "offsets" and self.tokenizer.is_fast:
            start = _first_after(encoded["offset_mapping"], len(prompt), len(ids))
        else:
            prefix = self._encoded(prompt, self._special)
            start = len(prefix)
            if self.protocol.boundary == "offsets":
                # Without offsets, the first token that differs from the prompt's belongs to the
                # response, at least in part.
                start = _common_prefix(self._without_appended(prompt, prefix), ids)
        row = self._truncate(ids, start, pair)
        if self.protocol.spans is None or row.reason:
            return row
        return self._divided(row, pair, encoded["offset_mapping"], prompt)

    def _divided(
        self, row: TokenRow, pair: Pair, offsets: list[tuple[int, int]], prompt: str
    ) -> TokenRow:
        """Return a row with the spans of its response; it is unusable if that has none."""
        assert pair.response is not None
        assert self.protocol.spans is not None
        try:
            spans = divide_response(
                pair.response,
                self.protocol.spans,
                step_pattern=self.protocol.step_pattern,
                named=pair.spans,
                inside=opens_thinking(prompt),
            )
        except DivisionError as error:
            return replace(row, reason=str(error))
        return replace(row, spans=token_spans(spans, offsets, row.positions, len(prompt)))

    def _without_appended(self, text: str, ids: list[int]) -> list[int]:
        """Drop the special tokens that the tokenizer appended: the protocol appends no EOS.

        An EOS that the text spells stays. Nothing is dropped where the protocol is the reference's.
        """
        if not self._trailing or self.protocol.as_reference:
            return ids
        plain = len(self._encoded(text, special=False))
        # Some tokenizers append none to a text that ends with one.
        return ids[: max(self._leading + plain, len(ids) - self._trailing)]

    def _truncate(self, ids: list[int], start: int, pair: Pair) -> TokenRow:
        kept = ids[: self.window]
        truncated = len(kept) < len(ids)
        reason = None
        if not pair.response:
            reason = "the response is empty"
        elif len(kept) <= max(start, 1):
            reason = (
                f"the response was truncated away: the prompt alone fills the window of "
                f"{self.window} tokens"
                if truncated
                else "the response has no token of its own"
            )
        return TokenRow(ids=kept, start=start, truncated=truncated, reason=reason)

    def encode_all(self, pairs: list[Pair], names: Sequence[str] | None = None) -> list[TokenRow]:
        """Tokenize all pairs; raise DataError if the protocol refuses an overlong response.

        The error refers to a pair by its entry in ``names``, by default by its row number.
        """
        rows = [self.encode(pair) for pair in pairs]
        if self.protocol.overlong == "refuse":
            self._refuse_overlong(pairs, rows, names)
        return rows

    def _refuse_overlong(
        self, pairs: list[Pair], rows: list[TokenRow], names: Sequence[str] | None
    ) -> None:
        lengths = {
            number: len(
                self.tokenizer(pair.response, add_special_tokens=False, verbose=False).input_ids
            )
            for number, (pair, row) in enumerate(zip(pairs, rows, strict=True))
            if row.truncated
        }
        overlong = {number: length for number, length in lengths.items() if length > self.window}
        if overlong:
            number, length = max(overlong.items(), key=lambda entry: entry[1])
            name = names[number] if names else f"row {number}"
            raise DataError(
                f"{len(overlong)} of {len(rows)} responses are longer than the window of "
                f"{self.window} tokens (the longest is {name} with {length}): shorten them, "
                "raise the protocol's max_length as far as the model allows, or use the paper "
                "protocol, which cuts them."
            )


def _fault(side: str, text: str | None) -> str | None:
    """Return why a text cannot be tokenized, or None."""
    if text is None:
        return f"the {side} is missing"
    if lone := re.search("[\ud800-\udfff]", text):
        return (
            f"the {side} is not valid Unicode (lone surrogate U+{ord(lone[0]):04X} at position "
            f"{lone.start()})"
        )
    return None


def _first_after(offsets: list[tuple[int, int]], boundary: int, default: int) -> int:
    """Return the first token that ends after ``boundary``, a character position."""
    return next((i for i, (_, end) in enumerate(offsets) if end > boundary), default)


def _common_prefix(left: list[int], right: list[int]) -> int:
    """Return the number of equal tokens at the start of both lists."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
