"""Texts as tokens: special tokens once, and where a response starts among the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradpipe.conversations.examples import TextSpan
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.row_spans import ResponseText, with_spans
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodedText(NamedTuple):
    """A text's token ids and the characters of each, from and up to; None if unknown."""

    ids: list[int]
    offsets: list[tuple[int, int]] | None


class TextTokens:
    """A tokenizer under one protocol."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, protocol: Protocol) -> None:
        self._tokenizer: Any = tokenizer
        self._protocol = protocol
        self._leading, self._trailing = self._added_tokens()

    def row(
        self, prompt: str, response: str, named: tuple[TextSpan, ...] = (), *, wrapped: bool
    ) -> TokenRow:
        """Tokenize a prompt and its response as one text.

        ``wrapped``: a chat template wrote the prompt, and with it the special tokens. ``named`` are
        spans of the response that the data name.
        """
        text = prompt + response
        special = self.adds_special(wrapped, text)
        ids, offsets = self.encode(text, special)
        if self._protocol.boundary == "offsets" and offsets is not None:
            start = first_after(offsets, len(prompt), len(ids))
        else:
            prefix = self.encoded(prompt, special)
            start = len(prefix)
            if self._protocol.boundary == "offsets":
                # Without offsets, the first token that differs from the prompt's belongs to the
                # response, at least in part.
                start = common_prefix(self._without_appended(prompt, prefix, special), ids)
        row = TokenRow(ids=ids, start=start, truncated=False)
        if offsets is None:
            return row
        place = ResponseText(text, offsets, start=len(prompt), end=len(text), named=named)
        return with_spans(row, place, self._protocol)

    def encode(self, text: str, special: bool) -> EncodedText:
        """Tokenize a text; ``special``: with the tokenizer's own special tokens before it."""
        encoded = self._tokenizer(
            text,
            add_special_tokens=special,
            return_offsets_mapping=self._tokenizer.is_fast,
            truncation=False,
            verbose=False,
        )
        ids = self._without_appended(text, list(encoded["input_ids"]), special)
        if not self._tokenizer.is_fast:
            return EncodedText(ids, None)
        return EncodedText(ids, [tuple(o) for o in encoded["offset_mapping"][: len(ids)]])

    def encoded(self, text: str, special: bool) -> list[int]:
        """The token ids of a text as the tokenizer gives them."""
        encoded = self._tokenizer(text, add_special_tokens=special, verbose=False)
        return list(encoded["input_ids"])

    def adds_special(self, wrapped: bool, text: str) -> bool:
        """Whether the tokenizer is to add its special tokens to a text."""
        if self._protocol.special_tokens == "always":
            return True
        first = getattr(self._tokenizer, "bos_token", None)
        return not wrapped and not (self._protocol.append_eos and first and text.startswith(first))

    def with_eos(self, text: str) -> str:
        """A text with the EOS token's text at its end, once, if the tokenizer has such a token."""
        end = getattr(self._tokenizer, "eos_token", None)
        return text if not end or text.endswith(end) else text + end

    def _added_tokens(self) -> tuple[int, int]:
        """How many special tokens the tokenizer adds before a text, and after it."""
        plain, whole = self.encoded("x", special=False), self.encoded("x", special=True)
        places = range(len(whole) - len(plain) + 1 if plain else 0)
        before = next((i for i in places if whole[i : i + len(plain)] == plain), None)
        return (0, 0) if before is None else (before, len(whole) - len(plain) - before)

    def _without_appended(self, text: str, ids: list[int], special: bool) -> list[int]:
        """Drop the special tokens that the tokenizer appended: the protocol appends no EOS.

        An EOS that the text spells stays. Nothing is dropped where the protocol is the reference's.
        """
        if not special or not self._trailing or self._protocol.as_reference:
            return ids
        plain = len(self.encoded(text, special=False))
        # Some tokenizers append none to a text that ends with one.
        return ids[: max(self._leading + plain, len(ids) - self._trailing)]


def first_after(offsets: Sequence[tuple[int, int]], boundary: int, default: int) -> int:
    """Return the first token that ends after ``boundary``, a character position."""
    return next((i for i, (_, end) in enumerate(offsets) if end > boundary), default)


def common_prefix(left: Sequence[object], right: Sequence[object]) -> int:
    """Return the number of equal tokens or letters at the start of both sequences."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
