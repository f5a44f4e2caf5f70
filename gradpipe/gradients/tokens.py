"""Tokenize (instruction, response) pairs and find where the response starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.protocol import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pair:
    """One (instruction, response) pair of texts; None for a missing text."""

    instruction: str | None
    response: str | None


@dataclass(frozen=True)
class TokenRow:
    """A tokenized pair: ``ids`` of prompt and response; the response is ``ids[start:]``.

    ``reason`` says why the row is unusable; None for a usable row.
    """

    ids: list[int]
    start: int
    truncated: bool
    reason: str | None = None

    @property
    def response_tokens(self) -> int:
        """The number of tokens with a loss; nothing predicts the first token of a text."""
        return max(0, len(self.ids) - max(self.start, 1))


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
        self.name = name
        self.tokenizer: Any = tokenizer
        self.protocol = protocol
        self.chat = has_template if protocol.chat is None else protocol.chat
        self.window = min(protocol.max_length, window or protocol.max_length)
        self.system = self._system() if self.chat else None

    def _system(self) -> str | None:
        system = self.protocol.system
        if system is None or self.protocol.system_unless == "by_name":
            return system
        try:
            self._template("x", system)
        except ModelError:
            return None
        return system

    def _template(self, instruction: str, system: str | None) -> str:
        messages = [{"role": "user", "content": instruction}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        # Templates are sandboxed programs that come with the model: they may raise anything.
        except Exception as error:
            reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise ModelError(
                f"The chat template of {self.name or 'this model'} fails ({reason}): use another "
                "revision of the model, or turn the template off (chat: false, --no-chat)."
            ) from error
        return text

    def prompt(self, instruction: str) -> str:
        """Return the text before the response; raises ModelError if the chat template fails."""
        return self._template(instruction, self.system) if self.chat else instruction + "\n"

    def encode(self, pair: Pair) -> TokenRow:
        """Tokenize a pair, truncated to the window; unusable pairs get a ``reason``."""
        fault = _fault("instruction", pair.instruction) or _fault("response", pair.response)
        if fault or pair.instruction is None or pair.response is None:
            return TokenRow(ids=[], start=0, truncated=False, reason=fault)
        prompt = self.prompt(pair.instruction)
        special = self.protocol.special_tokens == "always" or not self.chat
        encoded = self.tokenizer(
            prompt + pair.response,
            add_special_tokens=special,
            return_offsets_mapping=self.tokenizer.is_fast,
            truncation=False,
            verbose=False,
        )
        ids = list(encoded["input_ids"])
        if self.protocol.boundary == "prefix" or not self.tokenizer.is_fast:
            prefix = self.tokenizer(prompt, add_special_tokens=special, verbose=False)["input_ids"]
            start = len(prefix)
            if self.protocol.boundary == "offsets":
                # Without offsets, the first token that differs from the prompt's belongs to the
                # response, at least in part.
                start = _common_prefix(prefix, ids)
        else:
            start = _first_after(encoded["offset_mapping"], len(prompt), len(ids))
        return self._truncate(ids, start, pair)

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
