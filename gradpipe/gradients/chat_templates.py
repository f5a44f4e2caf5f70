"""Render prompts with a tokenizer's chat template, and repair what templates leave out."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, NamedTuple

from gradpipe.conversations.think_blocks import THINK_MARKS
from gradpipe.errors import ModelError
from gradpipe.gradients.protocol import DEFAULT_TEMPLATE_DATE, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Texts that no template contains, to find where it writes an instruction and a response.
_INSTRUCTION, _RESPONSE = "xINSTRUCTIONx", "xRESPONSEx"


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
        self._tokenizer: Any = tokenizer
        self._protocol = protocol
        self._name = name or "this model"
        self._form = self._find_form()
        self._header = "" if protocol.as_reference else self._missing_header()
        self._marks = self._opened_marks()

    def prompt(self, instruction: str, response: str) -> str:
        """Return the text before a response; raises ModelError if the template fails."""
        text = self._render(self._form, instruction) + self._header
        thinking = self._protocol.thinking_mode
        if self._marks is None or thinking == "inside":
            return text
        opening, closing = self._marks
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
            if _INSTRUCTION in (self._try(form) or ""):
                return form
        return forms[0]

    def _system(self, parts: bool) -> str | None:
        """The system message, unless the protocol leaves it to the template, which rejects it."""
        system = self._protocol.system
        by_name = self._protocol.system_unless == "by_name"
        accepted = by_name or self._try(_Form(parts, system)) is not None
        return system if accepted else None

    def _missing_header(self) -> str:
        """The header of the assistant's turn if the template ignores ``add_generation_prompt``."""
        asked, turn = self._try(self._form), self._try(self._form, asked=False)
        conversation = self._try(self._form, _RESPONSE, asked=False) or ""
        before, marker, _ = conversation.partition(_RESPONSE)
        if turn is None or asked != turn or not marker or not before.startswith(turn):
            return ""
        header = before.removeprefix(turn)
        # Some templates write a space between the turns, which is not a header.
        return header if header.strip() else ""

    def _opened_marks(self) -> tuple[str, str] | None:
        """The marks of the think block that the template's generation prompt opens."""
        prompt = (self._try(self._form) or "") + self._header
        generation = prompt.rpartition(_INSTRUCTION)[2].rstrip()
        return next((marks for marks in THINK_MARKS.items() if generation.endswith(marks[0])), None)

    def _try(self, form: _Form, response: str | None = None, asked: bool = True) -> str | None:
        """Render the marker instruction; None if the template fails."""
        try:
            return self._render(form, _INSTRUCTION, response, asked)
        except ModelError:
            return None

    def _render(
        self, form: _Form, instruction: str, response: str | None = None, asked: bool = True
    ) -> str:
        """Render a conversation; ``asked``: whether to ask for the generation prompt."""
        turns = {"system": form.system, "user": instruction, "assistant": response}
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}] if form.parts else text}
            for role, text in turns.items()
            if text is not None
        ]
        try:
            return self._applied(messages, asked)
        # Templates are sandboxed programs that come with the model: they may raise anything.
        except Exception as error:
            reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise ModelError(
                f"The chat template of {self._name} fails ({reason}): use another revision of the "
                "model, or turn the template off (chat: false, --no-chat)."
            ) from error

    def _applied(self, messages: list[dict[str, Any]], asked: bool) -> str:
        day = self._protocol.template_date
        # Keep a template's own constant date unless another date is set.
        dates = {} if day == DEFAULT_TEMPLATE_DATE else {"date_string": f"{day:%d %b %Y}"}
        own, settings = self._protocol.chat_template, self._protocol.chat_template_kwargs
        template = own or self._tokenizer.get_chat_template()
        if "strftime_now" not in template:
            text: str = self._tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=asked,
                chat_template=own,
                **{**dates, **settings},
            )
            return text
        # The sandbox that apply_chat_template renders in. The public function turns every callable
        # that it passes to a template into text. Tokenizers exist here, so it is imported already.
        from transformers.utils.chat_template_utils import _compile_jinja_template

        rendered: str = _compile_jinja_template(template).render(
            messages=messages,
            tools=None,
            documents=None,
            add_generation_prompt=asked,
            **{**self._tokenizer.special_tokens_map, **dates, **settings},
            strftime_now=_clock(day),
        )
        return rendered


def _clock(day: date) -> Any:
    """A template's ``strftime_now``, which says that it is midnight at the start of ``day``."""
    return datetime.combine(day, time()).strftime
