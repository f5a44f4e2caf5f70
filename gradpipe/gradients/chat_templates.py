"""Render prompts with a tokenizer's chat template, and repair what templates leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradpipe.conversations.examples import Conversation, Message
from gradpipe.conversations.messages import content_text, thinking_text
from gradpipe.errors import ModelError
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.template_renderer import TemplateRefusal, TemplateRenderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Texts that no template contains, to find where it writes an instruction and a response.
INSTRUCTION_MARKER, RESPONSE_MARKER = "xINSTRUCTIONx", "xRESPONSEx"


class _Form(NamedTuple):
    """How to write messages: contents as lists of parts or as texts, and the system message."""

    parts: bool
    system: str | None


class ChatTemplate:
    """The chat template of one tokenizer under one protocol.

    The contents of messages are lists of parts if the template drops an instruction that is given
    as text. Unless the protocol's prompt is the reference's (``boundary: prefix``), the header of
    the assistant's turn is restored for a template that ignores ``add_generation_prompt``.
    ``name`` is the model's name in errors.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, protocol: Protocol, name: str) -> None:
        self.renderer = TemplateRenderer(tokenizer, protocol)
        self.protocol = protocol
        self._name = name or "this model"
        self._form = self._find_form()
        #: The header that is added to prompts, and the marks of a think block that they open.
        self.header = "" if protocol.as_reference else self._missing_header()
        self.opened_marks = self._opened_marks()

    @property
    def writes_parts(self) -> bool:
        """Whether the template reads contents as lists of parts."""
        return self._form.parts

    def prompt(self, instruction: str, response: str) -> str:
        """Return the text before a response; raises ModelError if the template fails."""
        return self.prompt_after(_turns(instruction, response)[:1], response)

    def prompt_after(self, turns: Sequence[Message], response: str = "") -> str:
        """Return the text before a response to ``turns``; raises ModelError as ``prompt``."""
        last: Message = {"role": "assistant", "content": response}
        try:
            return self.prompt_of(Conversation((*turns, last)), response)
        except TemplateRefusal as refusal:
            raise ModelError(
                f"The chat template of {self._name} fails ({refusal}): use another revision of the "
                "model, or turn the template off (chat: false, --no-chat)."
            ) from refusal

    def prompt_of(self, conversation: Conversation, response: str) -> str:
        """Return the text before the last message, whose text is ``response``.

        Raises TemplateRefusal.
        """
        return self._with_think_block(self.generation_prompt(conversation), response)

    def generation_prompt(self, conversation: Conversation, before: int | None = None) -> str:
        """Return the text before a message, by default before the last one.

        It has a header that the template ignores, but a think block is as the template leaves it.
        Raises TemplateRefusal.
        """
        before = len(conversation.messages) - 1 if before is None else before
        return self.rendered(conversation, before, asked=True) + self.header

    def rendered(
        self, conversation: Conversation, count: int | None = None, *, asked: bool = False
    ) -> str:
        """Render the first ``count`` messages, by default all, and the protocol's system message.

        ``asked``: whether to ask for the generation prompt. Raises TemplateRefusal.
        """
        messages = self.written(conversation.messages[:count])
        settings = self.settings(conversation)
        return self.renderer.render(
            messages, asked=asked, tools=conversation.tools, settings=settings
        )

    def generated(self, conversation: Conversation) -> list[tuple[int, int]]:
        """The stretches of a rendered conversation that the template marks as the assistant's.

        Raises TemplateRefusal.
        """
        return self.renderer.generated(
            self.written(conversation.messages),
            tools=conversation.tools,
            settings=self.settings(conversation),
        )

    def written(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Messages in the form that the template reads, with the protocol's system message."""
        system = self._form.system
        if system is not None and not any(m.get("role") == "system" for m in messages):
            messages = [{"role": "system", "content": system}, *messages]
        return [_in_form(message, self._form.parts) for message in messages]

    def settings(self, conversation: Conversation) -> dict[str, Any]:
        """The template's variables: the row's own, and the switch for thinking.

        Where the protocol renders whole conversations, ``thinking`` sets ``enable_thinking``, the
        off switch of most templates, unless the study, the model or the row does.
        """
        own = dict(conversation.template_settings)
        given = {**self.protocol.chat_template_kwargs, **own}
        mode = self.protocol.thinking_mode
        if self.protocol.rendering == "prompt" or mode == "inside" or "enable_thinking" in given:
            return own
        return {**own, "enable_thinking": mode == "auto" and self._thinks(conversation)}

    def _thinks(self, conversation: Conversation) -> bool:
        """Whether the last message has thinking, in a field of its own or in its content."""
        last = conversation.messages[-1]
        opened = content_text(last).lstrip().startswith(tuple(self.protocol.all_think_marks))
        return opened or bool(thinking_text(last))

    def _with_think_block(self, text: str, response: str) -> str:
        """Close or remove the think block that a prompt opens, as the protocol says."""
        thinking = self.protocol.thinking_mode
        if self.opened_marks is None or thinking == "inside":
            return text
        opening, closing = self.opened_marks
        if not text.rstrip().endswith(opening):
            # Some templates leave the block out if the instruction asks for it.
            return text
        if thinking == "auto" and response.lstrip().startswith(opening):
            return text[: text.rindex(opening)]
        if thinking == "auto" and closing in response:
            # It starts inside the block, as a model continues such a prompt.
            return text
        return f"{text}\n{closing}\n\n"

    def _find_form(self) -> _Form:
        """The form in which the template shows an instruction; contents as texts if none does."""
        forms = [_Form(parts, self._system(parts)) for parts in (False, True)]
        for form in forms:
            if INSTRUCTION_MARKER in (self._try(form) or ""):
                return form
        return forms[0]

    def _system(self, parts: bool) -> str | None:
        """The system message, unless the protocol leaves it to the template, which rejects it."""
        system = self.protocol.system
        by_name = self.protocol.system_unless == "by_name"
        accepted = by_name or self._try(_Form(parts, system)) is not None
        return system if accepted else None

    def _missing_header(self) -> str:
        """The header of the assistant's turn if the template ignores ``add_generation_prompt``."""
        asked, turn = self._try(self._form), self._try(self._form, asked=False)
        conversation = self._try(self._form, RESPONSE_MARKER, asked=False) or ""
        before, marker, _ = conversation.partition(RESPONSE_MARKER)
        if turn is None or asked != turn or not marker or not before.startswith(turn):
            return ""
        header = before.removeprefix(turn)
        # Some templates write a space between the turns, which is not a header.
        return header if header.strip() else ""

    def _opened_marks(self) -> tuple[str, str] | None:
        """The marks of the think block that the template's generation prompt opens."""
        prompt = (self._try(self._form) or "") + self.header
        generation = prompt.rpartition(INSTRUCTION_MARKER)[2].rstrip()
        marks = self.protocol.all_think_marks.items()
        return next((pair for pair in marks if generation.endswith(pair[0])), None)

    def _try(self, form: _Form, response: str | None = None, asked: bool = True) -> str | None:
        """Render the marker instruction; None if the template fails."""
        turns: Mapping[str, str | None] = {
            "system": form.system,
            "user": INSTRUCTION_MARKER,
            "assistant": response,
        }
        messages = [
            _in_form({"role": role, "content": text}, form.parts)
            for role, text in turns.items()
            if text is not None
        ]
        try:
            return self.renderer.render(messages, asked=asked)
        except TemplateRefusal:
            return None


def _turns(instruction: str, response: str) -> tuple[Message, Message]:
    return (
        {"role": "user", "content": instruction},
        {"role": "assistant", "content": response},
    )


def _in_form(message: Message, parts: bool) -> dict[str, Any]:
    """A message with its content as a text, or as a list of parts."""
    content = message.get("content")
    if parts and isinstance(content, str):
        return {**message, "content": [{"type": "text", "text": content}]}
    return dict(message)
