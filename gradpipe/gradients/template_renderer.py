"""Render messages with a tokenizer's chat template, on a fixed date and with its own settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from gradpipe.conversations.examples import Message
from gradpipe.gradients.protocol import DEFAULT_TEMPLATE_DATE, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: The tag by which a template marks the text of the assistant.
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
#: The directives of ``strftime``.
_DIRECTIVES = "aAbBdHIjmMpSUwWxXyYeGuV"


class TemplateRefusal(Exception):
    """A chat template does not take some messages; the argument says why."""


class TemplateRenderer:
    """Renders messages with the chat template of a tokenizer, or of the protocol if it has one.

    Of the protocol's settings, ``template_date`` is what the template reads as today's, and
    ``chat_template_kwargs`` are variables that it reads.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, protocol: Protocol) -> None:
        self._tokenizer: Any = tokenizer
        day = protocol.template_date
        # Keep a template's own constant date unless another date is set.
        dates = {} if day == DEFAULT_TEMPLATE_DATE else {"date_string": f"{day:%d %b %Y}"}
        self._settings: dict[str, Any] = {**dates, **protocol.chat_template_kwargs}
        self._given = protocol.chat_template
        self._day = day
        self._texts: dict[bool, str] = {}

    def text(self, tools: Sequence[Any] | None = None) -> str:
        """The template itself; some tokenizers have another one for ``tools``."""
        if bool(tools) not in self._texts:
            template = self._given or self._tokenizer.get_chat_template(tools=tools or None)
            dated = _on_day(template, self._day) if "strftime_now" in template else template
            self._texts[bool(tools)] = dated
        return self._texts[bool(tools)]

    def reads_field(self, name: str) -> bool:
        """Whether the template reads a field of messages."""
        return re.search(rf"(?:\.|\[['\"]){name}\b", self.text()) is not None

    @property
    def reads_clock(self) -> bool:
        """Whether the template asks for today's date."""
        return "strftime_now" in self.text()

    @property
    def marks_generation(self) -> bool:
        """Whether the template marks what the assistant wrote by ``{% generation %}``."""
        return _GENERATION.search(self.text()) is not None

    def render(
        self,
        messages: Sequence[Message],
        *,
        asked: bool,
        tools: Sequence[Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> str:
        """Render messages; ``asked``: whether to ask for the generation prompt.

        Raises TemplateRefusal.
        """
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                list(messages),
                tokenize=False,
                add_generation_prompt=asked,
                chat_template=self.text(tools),
                tools=list(tools) if tools else None,
                **{**self._settings, **(settings or {})},
            )
        # Templates are sandboxed programs that come with the model: they may raise anything.
        except Exception as error:
            raise TemplateRefusal(_reason(error)) from error
        return rendered

    def generated(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> list[tuple[int, int]]:
        """The stretches of the rendered text that the template marks as the assistant's.

        Raises TemplateRefusal.
        """
        # Imported here: plans are made with a stand-in for the tokenizer, without transformers.
        from transformers.utils.chat_template_utils import render_jinja_template

        variables = {**self._tokenizer.special_tokens_map, **self._settings, **(settings or {})}
        given = [
            {key: value for key, value in message.items() if value is not None}
            for message in messages
        ]
        try:
            rendered: Any = render_jinja_template(
                conversations=[given],
                tools=list(tools) if tools else None,
                chat_template=self.text(tools),
                return_assistant_tokens_mask=True,
                **variables,
            )
        except Exception as error:
            raise TemplateRefusal(_reason(error)) from error
        return [(int(start), int(end)) for start, end in rendered[1][0]]


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _on_day(template: str, day: date) -> str:
    """The template with a ``strftime_now`` of its own, which knows no day but one.

    A function cannot be passed to a template: it would arrive there as text.
    """
    known = {f"%{letter}": day.strftime(f"%{letter}") for letter in _DIRECTIVES}
    known |= {"%-d": str(day.day), "%-m": str(day.month), "%%": "%"}
    replaced = "".join(f" | replace('{form}', '{text}')" for form, text in known.items())
    # The line ends where a block ends, so the template's first line is still a line's beginning.
    return f"{{% macro strftime_now(form) %}}{{{{ form{replaced} }}}}{{% endmacro %}}\n{template}"
