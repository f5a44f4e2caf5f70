"""What is done beyond what a chat template says, in sentences for the user."""

from __future__ import annotations

from typing import Any

from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.template_alone import TemplateAlone
from gradpipe.models.source import ModelSource
from gradpipe.models.template_text import template_text
from gradpipe.models.tokenizer_files import tokenizer_note


def template_notes(template: ChatTemplate, name: str) -> list[str]:
    """Say what a template needs under its protocol: one sentence each; most templates need nothing.

    ``name`` is the model's name.
    """
    protocol = template.protocol
    notes = []
    if template.writes_parts:
        notes.append(f"The chat template of {name} gets contents as lists of parts.")
    if template.header:
        notes.append(
            f"The chat template of {name} ignores `add_generation_prompt`: the assistant's header "
            "is restored."
        )
    if template.renderer.reads_clock:
        notes.append(
            f"The chat template of {name} writes today's date: it is {protocol.template_date} "
            "(`template_date`)."
        )
    if template.opened_marks is not None:
        notes.append(f"The chat template of {name} {_block(template)}.")
    return notes


def notes_of_model(source: ModelSource, name: str, protocol: Protocol) -> list[str]:
    """The notes on a model's tokenizer and its ``template_notes``, from its files alone.

    ``source`` is pinned. Raises ModelError if the files of a hub model cannot be had.
    """
    text = None if protocol.chat is False else protocol.chat_template or template_text(source)
    notes = list(filter(None, [tokenizer_note(source, name)]))
    if text is None:
        return notes
    tokenizer: Any = TemplateAlone(text)
    return notes + template_notes(ChatTemplate(tokenizer, protocol, name), name)


def _block(template: ChatTemplate) -> str:
    """What becomes of the think block that a generation prompt opens."""
    assert template.opened_marks is not None
    opening = template.opened_marks[0]
    opens = f"opens a think block ({opening}) in its prompt"
    if template.protocol.rendering == "conversation":
        return f"{opens}, which a rendered conversation does not have unless the response does"
    return (
        f"{opens}: "
        + {
            "inside": "responses are measured inside it (`thinking: inside`)",
            "closed": "it is closed before every response (`thinking: closed`)",
            "auto": "it is closed before responses that have no thinking (`thinking: auto`)",
        }[template.protocol.thinking_mode]
    )
