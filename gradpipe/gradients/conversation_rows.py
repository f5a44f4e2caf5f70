"""Conversations as token rows: rendered by the chat template, with the loss on chosen turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from gradpipe.conversations.examples import Conversation, Message, TextSpan
from gradpipe.conversations.messages import (
    THINKING_KEYS,
    content_text,
    response_text,
    thinking_text,
)
from gradpipe.conversations.think_blocks import divide_at_thinking
from gradpipe.gradients.assistant_turns import AssistantTurns, Stretch
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.row_spans import ResponseText, with_spans
from gradpipe.gradients.template_renderer import TemplateRefusal
from gradpipe.gradients.text_tokens import TextTokens, common_prefix
from gradpipe.gradients.tokens import TokenRow, unusable_row


class _Unusable(Exception):
    """A conversation cannot be tokenized; the argument is the row's reason."""


class ConversationRows:
    """Tokenizes conversations with one chat template under one protocol."""

    def __init__(self, template: ChatTemplate, tokens: TextTokens, protocol: Protocol) -> None:
        self._template = template
        self._tokens = tokens
        self._protocol = protocol

    # Rows behind a prompt, which are most, need neither of the two.
    @cached_property
    def _turns(self) -> AssistantTurns:
        return AssistantTurns(self._template, self._by_token)

    @cached_property
    def _reads_fields(self) -> bool:
        """Whether the template reads thinking only where it is a field of a message."""
        renderer = self._template.renderer
        reads_fields = any(map(renderer.reads_field, THINKING_KEYS))
        return reads_fields and "</think>" not in renderer.text()

    def row(self, conversation: Conversation) -> TokenRow:
        """Tokenize a conversation; one that the template refuses or changes gets a ``reason``."""
        try:
            if self._protocol.rendering == "conversation":
                return self._whole(self._with_fields(conversation))
            return self._behind_prompt(conversation)
        except TemplateRefusal as refusal:
            return unusable_row(f"the chat template does not take the conversation: {refusal}")
        except _Unusable as error:
            return unusable_row(str(error))

    def _behind_prompt(self, conversation: Conversation) -> TokenRow:
        """The messages before the response as a prompt, and the response's text behind it."""
        *before, last = conversation.messages
        if last.get("tool_calls"):
            raise _Unusable(
                "the response calls a tool, which only the chat template can write: use the "
                "protocol training"
            )
        response = response_text(last)
        if not response:
            raise _Unusable("the response is empty")
        prompt = self._template.prompt_of(conversation, response)
        _require_turns(before, prompt)
        _require_calls(before, prompt)
        return self._tokens.row(prompt, response, conversation.spans, wrapped=True)

    def _whole(self, conversation: Conversation) -> TokenRow:
        """All messages as the template writes them."""
        loss_on, end_of_turn = self._protocol.loss_on, self._protocol.end_of_turn
        *before, last = conversation.messages
        divided = divide_at_thinking(content_text(last), self._protocol.all_think_marks)
        thinking = thinking_text(last) or (divided.thinking if divided else "")
        text = self._turns.render(conversation, thinking)
        loss = self._turns.find(conversation, text, loss_on, end_of_turn)
        _require_turns(before, text)
        _require_calls(conversation.messages, text)
        _require_response(thinking, divided.answer if divided else content_text(last), text)
        special = self._tokens.adds_special(wrapped=True, text=text)
        ids, offsets = self._tokens.encode(text, special)
        if offsets is None:
            return self._without_offsets(ids, text, loss, special)
        mask = _tokens_in(loss, offsets)
        if not mask:
            raise _Unusable("no token carries loss")
        row = TokenRow(ids=ids, start=mask[0], truncated=False, mask=mask)
        if self._protocol.spans is None:
            return row
        return with_spans(row, self._response(conversation, text, offsets), self._protocol)

    def _response(
        self, conversation: Conversation, text: str, offsets: list[tuple[int, int]]
    ) -> ResponseText:
        """The last turn in the rendered text, with the spans that the data name in its content."""
        start = self._turns.response(conversation, text)
        content, end = self._turns.content(conversation, text)
        named = conversation.spans
        if named and text[content:end] != content_text(conversation.messages[-1]):
            raise _Unusable("the chat template changes the response, so its spans are unknown")
        moved = content - start
        named = tuple(TextSpan(s.name, s.start + moved, s.end + moved) for s in named)
        return ResponseText(text, offsets, start=start, end=end, named=named)

    def _without_offsets(
        self, ids: list[int], text: str, loss: list[Stretch], special: bool
    ) -> TokenRow:
        """A row of a tokenizer that does not say which characters a token has."""
        if len(loss) != 1 or loss[0][1] != len(text):
            raise _Unusable(
                "the model's tokenizer does not say where its tokens are in the text, so only a "
                "last turn can carry loss"
            )
        start = common_prefix(self._tokens.encode(text[: loss[0][0]], special).ids, ids)
        return TokenRow(ids=ids, start=start, truncated=False)

    def _with_fields(self, conversation: Conversation) -> Conversation:
        """A conversation whose response has its thinking where the template reads it.

        Responses of studies are texts, with a think block inside.
        """
        *before, last = conversation.messages
        marks = self._protocol.all_think_marks
        divided = divide_at_thinking(content_text(last), marks) if self._reads_fields else None
        if divided is None or conversation.spans:
            return conversation
        last = {**last, "content": divided.answer, "reasoning_content": divided.thinking}
        return replace(conversation, messages=(*before, last))

    def _by_token(self, text: str) -> list[tuple[Stretch, int]]:
        """The tokens of a text, each with its characters; single characters without offsets."""
        ids, offsets = self._tokens.encode(text, special=False)
        if offsets is None:
            return [((place, place + 1), ord(letter)) for place, letter in enumerate(text)]
        return list(zip(offsets, ids, strict=True))


def _require_turns(messages: list[Message], text: str) -> None:
    """Raise _Unusable unless a rendered text has everything that the user and the system say."""
    for message in messages:
        role, content = message.get("role"), content_text(message).strip()
        if role in ("user", "system") and content not in text:
            quoted = json.dumps(content[:40], ensure_ascii=False)
            raise _Unusable(
                f"the chat template leaves out what the {role} says, or changes it: {quoted}"
            )


def _require_calls(messages: Sequence[Message], text: str) -> None:
    """Raise _Unusable unless a rendered text has the name of every tool that is called."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            called = call.get("function", call)
            name = called.get("name") if isinstance(called, Mapping) else None
            if name is not None and str(name) not in text:
                raise _Unusable(
                    f"the chat template leaves out the call of the tool {str(name)[:40]!r}: use a "
                    "model whose template writes tool calls"
                )


def _require_response(thinking: str, answer: str, text: str) -> None:
    """Raise _Unusable unless a rendered text has the response, and its thinking if it has any."""
    if thinking.strip() not in text:
        raise _Unusable(
            "the chat template leaves the response's thinking out: use the protocol standard, "
            "which writes the response behind the prompt"
        )
    if answer.strip() not in text:
        raise _Unusable("the chat template leaves out the response, or changes it")


def _tokens_in(stretches: list[Stretch], offsets: list[tuple[int, int]]) -> tuple[int, ...]:
    """The tokens that have a character in one of the stretches, but the first of the text."""
    return tuple(
        number
        for number, (start, end) in enumerate(offsets)
        if number and any(start < last and end > first for first, last in stretches)
    )
