"""Conversations as token rows: rendered by the chat template, with the loss on chosen turns."""

from __future__ import annotations

import json
from typing import Any

from gradpipe.conversations.examples import Conversation, Message
from gradpipe.conversations.think_blocks import divide_at_thinking, join_thinking
from gradpipe.gradients.assistant_turns import AssistantTurns, Stretch
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.template_renderer import TemplateRefusal
from gradpipe.gradients.text_tokens import TextTokens, common_prefix
from gradpipe.gradients.tokens import TokenRow, unusable_row


class ConversationRows:
    """Tokenizes conversations with one chat template under one protocol."""

    def __init__(self, template: ChatTemplate, tokens: TextTokens, protocol: Protocol) -> None:
        self._template = template
        self._tokens = tokens
        self._protocol = protocol
        self._turns = AssistantTurns(template, self._by_token)

    def row(self, conversation: Conversation) -> TokenRow:
        """Tokenize a conversation; one that the template refuses or changes gets a ``reason``."""
        try:
            if self._protocol.rendering == "conversation":
                return self._whole(conversation)
            return self._behind_prompt(conversation)
        except TemplateRefusal as refusal:
            return unusable_row(f"the chat template does not take the conversation: {refusal}")

    def _behind_prompt(self, conversation: Conversation) -> TokenRow:
        """The messages before the response as a prompt, and the response's text behind it."""
        *before, last = conversation.messages
        if last.get("tool_calls"):
            return unusable_row(
                "the response calls a tool, which only the chat template can write: use the "
                "protocol training"
            )
        response = response_text(last)
        if not response:
            return unusable_row("the response is empty")
        prompt = self._template.prompt_of(conversation, response)
        if (lost := _lost(before, prompt)) is not None:
            return unusable_row(lost)
        return self._tokens.row(prompt, response, wrapped=True)

    def _whole(self, conversation: Conversation) -> TokenRow:
        """All messages as the template writes them."""
        rendered = self._turns.find(
            conversation, self._protocol.loss_on, self._protocol.end_of_turn
        )
        *before, last = conversation.messages
        if (lost := _lost(before, rendered.text)) is not None:
            return unusable_row(lost)
        if (lost := _lost_of_response(last, rendered.text)) is not None:
            return unusable_row(lost)
        special = self._tokens.adds_special(wrapped=True, text=rendered.text)
        ids, offsets = self._tokens.encode(rendered.text, special)
        if offsets is None:
            return self._without_offsets(ids, rendered.text, rendered.loss, special)
        mask = _tokens_in(rendered.loss, offsets)
        if not mask:
            return unusable_row("no token carries loss")
        return TokenRow(ids=ids, start=mask[0], truncated=False, mask=mask)

    def _without_offsets(
        self, ids: list[int], text: str, loss: list[Stretch], special: bool
    ) -> TokenRow:
        """A row of a tokenizer that does not say which characters a token has."""
        if len(loss) != 1 or loss[0][1] != len(text):
            return unusable_row(
                "the model's tokenizer does not say where its tokens are in the text, so only a "
                "last turn can carry loss"
            )
        start = common_prefix(self._tokens.encode(text[: loss[0][0]], special).ids, ids)
        return TokenRow(ids=ids, start=start, truncated=False)

    def _by_token(self, text: str) -> list[tuple[Stretch, int]]:
        """The tokens of a text, each with its characters; single characters without offsets."""
        ids, offsets = self._tokens.encode(text, special=False)
        if offsets is None:
            return [((place, place + 1), ord(letter)) for place, letter in enumerate(text)]
        return list(zip(offsets, ids, strict=True))


def response_text(message: Message) -> str:
    """The text of a response: its thinking, if it has any apart, as a think block before it."""
    content = content_text(message)
    thinking = _thinking(message)
    return join_thinking(thinking, content) if thinking else content


def content_text(message: Message) -> str:
    """The text of a message's content, which may be a list of parts."""
    content: Any = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _thinking(message: Message) -> str:
    fields = ("reasoning_content", "reasoning", "thinking")
    return next((str(message[name]) for name in fields if message.get(name)), "")


def _lost(messages: list[Message], text: str) -> str | None:
    """Why a rendered text does not hold what the user and the system say, or None."""
    for message in messages:
        role = message.get("role")
        if role in ("user", "system") and content_text(message).strip() not in text:
            return (
                f"the chat template leaves out what the {role} says, or changes it: "
                f"{json.dumps(content_text(message).strip()[:40], ensure_ascii=False)}"
            )
    return None


def _lost_of_response(message: Message, text: str) -> str | None:
    """Why a rendered text does not hold the response, or None."""
    divided = divide_at_thinking(content_text(message))
    thinking = _thinking(message) or (divided.thinking if divided else "")
    if thinking.strip() not in text:
        return (
            "the chat template leaves the response's thinking out: use the protocol standard, "
            "which writes the response behind the prompt"
        )
    if (divided.answer if divided else content_text(message).strip()) not in text:
        return "the chat template leaves out the response, or changes it"
    return None


def _tokens_in(stretches: list[Stretch], offsets: list[tuple[int, int]]) -> tuple[int, ...]:
    """The tokens that have a character in one of the stretches, but the first of the text."""
    return tuple(
        number
        for number, (start, end) in enumerate(offsets)
        if number and any(start < last and end > first for first, last in stretches)
    )
