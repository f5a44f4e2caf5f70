"""Which data, and how to compute gradients: the options that ``extract`` and ``rank`` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.placement import Placement
    from gradpipe.standalone.data_source import DataSource

Command = TypeVar("Command", bound=Callable[..., Any])

DATA_OPTIONS = (
    click.option("--config", metavar="NAME", help="The configuration of a data set of the hub."),
    click.option(
        "--split",
        metavar="NAME[:N]",
        help="Its split, with or without a slice of rows: train, train[:500], train[100:200].",
    ),
    click.option(
        "--revision",
        metavar="COMMIT|TAG|BRANCH",
        help="The revision of its repository (default: main).",
    ),
)
OPTIONS = (
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
    click.option(
        "--projections",
        metavar="LIST",
        help="Any of q,k,v,o,gate,up,down, separated by commas (default: q,k,v,o).",
    ),
    click.option(
        "--layer-name",
        "layer_names",
        multiple=True,
        metavar="ROLE=PATH",
        help="A projection's path in each decoder layer, for example q=attn.wq (repeatable).",
    ),
    click.option(
        "--device-map",
        metavar="auto|DEVICE",
        help="auto: spread the model over all GPUs, then CPU and disk; or one device: cuda:1.",
    ),
    click.option(
        "--gradient-checkpointing",
        "checkpointing",
        is_flag=True,
        help="Recompute each layer's activations: less memory, a third more time.",
    ),
    click.option(
        "--max-memory",
        multiple=True,
        metavar="DEVICE=SIZE",
        help="Limit for --device-map auto, for example 0=20GiB or cpu=60GiB (repeatable).",
    ),
)


def data_options(command: Command) -> Command:
    """Add DATA_OPTIONS to a command; ``data_source`` reads them."""
    return _with_options(command, DATA_OPTIONS)


def extraction_options(command: Command) -> Command:
    """Add all OPTIONS to a command; ``how_to_extract`` reads them."""
    return _with_options(command, OPTIONS)


def _with_options(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def data_source(
    data: str, config: str | None, split: str | None, revision: str | None
) -> DataSource:
    """What DATA and DATA_OPTIONS name; raises DataError.

    Prints the commit of a data set of the hub, by which its rows can be read again.
    """
    from gradpipe.standalone.data_source import find_data, revision_of

    source = find_data(data, config, split, revision)
    if commit := revision_of(source):
        click.echo(f"{source} is read at the commit {commit}.", err=True)
    return source


def how_to_extract(
    *,
    protocol: str,
    chat: bool | None,
    thinking: str | None,
    template_date: str | None,
    loss_on: str | None,
    chat_template: Path | None,
    chat_template_kwargs: str | None,
    projections: str | None,
    layer_names: tuple[str, ...],
    device_map: str | None,
    checkpointing: bool,
    max_memory: tuple[str, ...],
    spans: str | None = None,
    step_pattern: str | None = None,
) -> tuple[Protocol, Placement]:
    """The protocol and the model's placement that OPTIONS describe; raises GradpipeError.

    ``spans`` and ``step_pattern`` are options of ``extract`` alone.
    """
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.models.placement import Placement

    memory: Any = {place: size for place, _, size in (part.partition("=") for part in max_memory)}
    placement = Placement(device_map, checkpointing, memory or None)
    changes: dict[str, Any] = {"layer_names": _layer_names(layer_names)}
    given = {
        "chat": chat,
        "thinking": thinking,
        "template_date": template_date,
        "loss_on": loss_on,
        "chat_template": chat_template and _template_text(chat_template),
        "chat_template_kwargs": chat_template_kwargs and _variables(chat_template_kwargs),
    }
    changes |= {name: value for name, value in given.items() if value is not None}
    changes |= {"spans": None if spans == "none" else spans, "step_pattern": step_pattern}
    if projections is not None:
        changes["projections"] = [name.strip() for name in projections.split(",")]
    return make_protocol(protocol, **changes), placement


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


def _layer_names(given: tuple[str, ...]) -> dict[str, str]:
    """Parse words such as q=attn.wq into a mapping from roles to paths."""
    names = {}
    for word in given:
        role, equals, path = word.partition("=")
        if not equals:
            raise GradpipeError(
                f"--layer-name {word!r} is invalid: write ROLE=PATH, for example q=attn.wq."
            )
        names[role.strip()] = path.strip()
    return names
