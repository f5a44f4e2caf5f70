"""Tokenize examples of every kind and find the tokens that carry loss."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
    Unusable,
    texts_of,
)
from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.control_spans import with_controls
from gradpipe.gradients.conversation_rows import ConversationRows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.template_notes import template_notes
from gradpipe.gradients.text_tokens import TextTokens
from gradpipe.gradients.tokens import TokenRow, unusable_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Encoder:
    """Tokenizes examples with one tokenizer under one protocol.

    ``name`` is the model's name as the user wrote it; the ``paper`` protocol looks for "gemma" in
    it. ``window`` is the model's longest input in tokens, None if unlimited. ``notes`` are put
    before its own. Raises ModelError if the protocol asks for a chat template and the tokenizer has
    none.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        protocol: Protocol,
        name: str = "",
        window: int | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        protocol = protocol.for_model(name)
        given = protocol.chat_template or getattr(tokenizer, "chat_template", None)
        self._name = name or "this model"
        self._notes = list(notes)
        if protocol.chat and not given:
            raise ModelError(
                f"The tokenizer of {self._name} has no chat template: use an instruction-tuned "
                "model, or turn the chat template off (chat: false, --no-chat)."
            )
        if protocol.spans and not tokenizer.is_fast:
            raise ModelError(
                f"The tokenizer of {self._name} does not say which characters its tokens stand "
                "for, so responses cannot be divided into spans: use a model with a fast "
                "tokenizer, or leave the protocol's spans out."
            )
        self.tokenizer = tokenizer
        self.protocol = protocol
        self.chat = bool(given) if protocol.chat is None else protocol.chat
        self.window = min(protocol.max_length, window or protocol.max_length)
        self._tokens = TextTokens(tokenizer, protocol)
        self._template = ChatTemplate(tokenizer, protocol, name) if self.chat else None
        self._conversations = (
            ConversationRows(self._template, self._tokens, protocol) if self._template else None
        )

    @property
    def notes(self) -> list[str]:
        """Sentences on what is done beyond what the model says; see ``template_notes``."""
        own = [] if self._template is None else template_notes(self._template, self._name)
        return [*self._notes, *own]

    def prompt(self, instruction: str, response: str = "") -> str:
        """Return the text before the response; raises ModelError if the chat template fails.

        The response decides whether a think block that the template opens is closed.
        """
        if self._template is None:
            return instruction + "\n"
        return self._template.prompt(instruction, response)

    def encode(self, example: Example) -> TokenRow:
        """Tokenize an example, truncated to the window; unusable examples get a ``reason``.

        Raises ModelError if the example is a conversation and there is no chat template, or if the
        template fails on any pair.
        """
        match example:
            case Unusable():
                return unusable_row(example.reason)
            case TokenIds():
                return self._encode_ids(example)
            case PlainText():
                row = self._encode_text(example.text, example.start)
            case Pair():
                row = self._encode_pair(example)
            case Conversation():
                row = self._encode_conversation(example)
        if row.reason:
            return row
        return with_controls(self._truncated(row, example), self.protocol)

    def _encode_pair(self, pair: Pair) -> TokenRow:
        fault = text_fault("instruction", pair.instruction) or text_fault("response", pair.response)
        if fault or pair.instruction is None or pair.response is None:
            return unusable_row(fault)
        whole = self.protocol.rendering == "conversation"
        # A fine-tuning run wraps no template around texts that continue each other.
        if self._template is None or (whole and pair.joined and self.protocol.chat is None):
            prompt = pair.instruction + ("" if pair.joined else "\n")
            return self._encode_text(prompt + pair.response, len(prompt), pair.spans)
        if whole:
            return self._encode_conversation(_as_conversation(pair))
        prompt = self._template.prompt(pair.instruction, pair.response)
        if pair.instruction.strip() not in prompt:
            reason = "the chat template leaves the instruction out of the prompt, or changes it"
            return unusable_row(reason)
        return self._tokens.row(prompt, pair.response, pair.spans, wrapped=True)

    def _encode_text(self, text: str, start: int, named: tuple[TextSpan, ...] = ()) -> TokenRow:
        """A text without a template; its loss is on the characters from ``start`` on."""
        if fault := text_fault("text", text):
            return unusable_row(fault)
        if self.protocol.append_eos and text[start:]:
            text = self._tokens.with_eos(text)
        if self.protocol.loss_on == "all":
            start = 0
        return self._tokens.row(text[:start], text[start:], named, wrapped=False)

    def _encode_conversation(self, conversation: Conversation) -> TokenRow:
        if self._conversations is None:
            raise ModelError(
                f"The data hold conversations, but the chat template of {self._name} is missing or "
                "turned off: use an instruction-tuned model, or data of prompts and completions."
            )
        return self._conversations.row(conversation)

    @staticmethod
    def _encode_ids(example: TokenIds) -> TokenRow:
        loss = [number for number, carries in enumerate(example.loss) if carries and number]
        if not loss:
            return unusable_row("no token carries loss")
        return TokenRow(ids=list(example.ids), start=loss[0], truncated=False, mask=tuple(loss))

    def _truncated(self, row: TokenRow, example: Example) -> TokenRow:
        """Cut a row to the window; it is unusable if no token with a loss is left."""
        kept = row.ids[: self.window]
        mask = None if row.mask is None else tuple(p for p in row.mask if p < len(kept))
        spans = tuple(
            replace(span, positions=tuple(p for p in span.positions if p < len(kept)))
            for span in row.spans
        )
        cut = TokenRow(
            ids=kept,
            start=row.start,
            truncated=len(kept) < len(row.ids),
            mask=mask,
            spans=tuple(span for span in spans if span.positions),
        )
        if texts_of(example)[1] == "":
            return replace(cut, reason="the response is empty")
        if cut.response_tokens:
            return cut
        reason = (
            f"the response was truncated away: the prompt alone fills the window of "
            f"{self.window} tokens"
            if cut.truncated
            else "the response has no token of its own"
        )
        return replace(cut, reason=reason)

    def encode_all(
        self, examples: Sequence[Example], names: Sequence[str] | None = None
    ) -> list[TokenRow]:
        """Tokenize all examples; raise DataError if the protocol refuses an overlong response.

        The error refers to an example by its entry in ``names``, by default by its row number.
        """
        rows = [self.encode(example) for example in examples]
        if self.protocol.overlong == "refuse":
            self._refuse_overlong(examples, rows, names)
        return rows

    def _refuse_overlong(
        self, examples: Sequence[Example], rows: list[TokenRow], names: Sequence[str] | None
    ) -> None:
        overlong = {
            names[number] if names else f"row {number}": length
            for number, (example, row) in enumerate(zip(examples, rows, strict=True))
            if row.truncated and (length := self.response_length(example)) > self.window
        }
        if overlong:
            raise overlong_error(overlong, len(rows), self.window)

    def response_length(self, example: Example) -> int:
        """The number of tokens of the response alone."""
        if isinstance(example, TokenIds):
            return sum(example.loss)
        _, response = texts_of(example)
        return len(self._tokens.encoded(response or "", special=False))


def overlong_error(overlong: Mapping[str, int], rows: int, window: int) -> DataError:
    """The error of ``overlong`` responses (name to tokens), of which there are ``rows`` in all."""
    name, length = max(overlong.items(), key=lambda entry: entry[1])
    return DataError(
        f"{len(overlong)} of {rows} responses are longer than the window of "
        f"{window} tokens (the longest is {name} with {length}): shorten them, "
        "raise the protocol's max_length as far as the model allows, or use the paper "
        "protocol, which cuts them."
    )


def _as_conversation(pair: Pair) -> Conversation:
    return Conversation(
        (
            {"role": "user", "content": pair.instruction},
            {"role": "assistant", "content": pair.response},
        ),
        spans=pair.spans,
    )


def text_fault(side: str, text: str | None) -> str | None:
    """Return why a text cannot be tokenized, or None."""
    if text is None:
        return f"the {side} is missing"
    if lone := re.search("[\ud800-\udfff]", text):
        return (
            f"the {side} is not valid Unicode (lone surrogate U+{ord(lone[0]):04X} at position "
            f"{lone.start()})"
        )
    return None
