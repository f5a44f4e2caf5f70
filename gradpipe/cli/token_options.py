"""How an example becomes tokens: the options that ``extract``, ``rank`` and ``look`` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gradpipe.errors import GradpipeError

Command = TypeVar("Command", bound=Callable[..., Any])

TOKEN_OPTIONS = (
    click.option(
        "--tokenizer",
        metavar="FOLDER|ID",
        help="Use this tokenizer instead of the model's own, for a checkpoint without one.",
    ),
    click.option(
        "--protocol",
        default="standard",
        show_default=True,
        metavar="paper|standard|training",
        help="How an example becomes tokens and a loss.",
    ),
    click.option(
        "--chat/--no-chat",
        default=None,
        help="Use the chat template, or plain text (default: the template if there is one).",
    ),
    click.option(
        "--thinking",
        metavar="MODE",
        help="auto, inside or closed: what to do if the chat template opens a think block.",
    ),
    click.option(
        "--template-date",
        metavar="DATE",
        help="What chat templates read as today's date (default: 2024-07-26).",
    ),
    click.option(
        "--loss-on",
        metavar="TURNS",
        help="last, assistant, completion or all: what carries loss under the protocol training.",
    ),
    click.option(
        "--chat-template",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with a chat template (Jinja) that replaces the tokenizer's.",
    ),
    click.option(
        "--chat-template-kwargs",
        metavar="JSON",
        help="Variables for the chat template, for example '{\"enable_thinking\": false}'.",
    ),
)
SPAN_OPTIONS = (
    click.option(
        "--spans",
        metavar="think|steps|final_answer|data|none",
        help="Also measure the parts of each response: thinking, steps, final answer, or as given.",
    ),
    click.option(
        "--step-pattern",
        metavar="REGEX",
        help="Where a step starts, for --spans steps (default: after a blank line).",
    ),
    click.option(
        "--control-tokens",
        metavar="N|answer",
        help="With --spans: also measure the first N tokens and N random ones.",
    ),
)


def with_options(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    """Add options to a command, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def token_options(command: Command) -> Command:
    """Add TOKEN_OPTIONS to a command; ``token_settings`` reads them."""
    return with_options(command, TOKEN_OPTIONS)


def span_options(command: Command) -> Command:
    """Add SPAN_OPTIONS to a command; ``token_settings`` reads them."""
    return with_options(command, SPAN_OPTIONS)


def token_settings(
    *,
    chat: bool | None,
    thinking: str | None,
    template_date: str | None,
    loss_on: str | None,
    chat_template: Path | None,
    chat_template_kwargs: str | None,
    spans: str | None = None,
    step_pattern: str | None = None,
    control_tokens: str | None = None,
) -> dict[str, Any]:
    """The protocol settings that TOKEN_OPTIONS and SPAN_OPTIONS change; raises GradpipeError."""
    given = {
        "chat": chat,
        "thinking": thinking,
        "template_date": template_date,
        "loss_on": loss_on,
        "chat_template": None if chat_template is None else _template_text(chat_template),
        "chat_template_kwargs": None
        if chat_template_kwargs is None
        else _variables(chat_template_kwargs),
        "spans": None if spans == "none" else spans,
        "step_pattern": step_pattern,
        "control_tokens": int(control_tokens)
        if control_tokens and control_tokens.isdecimal()
        else control_tokens,
    }
    return {name: value for name, value in given.items() if value is not None}


def _template_text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GradpipeError(
            f"{file} cannot be read as a chat template: give a text file in UTF-8."
        ) from error


def _variables(text: str) -> dict[str, Any]:
    """Parse the JSON object of --chat-template-kwargs."""
    try:
        variables = json.loads(text)
    except ValueError:
        variables = None
    if not isinstance(variables, dict):
        raise GradpipeError(
            f"--chat-template-kwargs {text!r} is not a JSON object: write it as in "
            "'{\"enable_thinking\": false}'."
        )
    return variables
