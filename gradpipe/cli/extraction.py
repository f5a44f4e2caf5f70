"""How to compute gradients: the options that ``extract`` and ``rank`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.placement import Placement

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "--protocol",
        default="standard",
        show_default=True,
        metavar="paper|standard",
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


def extraction_options(command: Command) -> Command:
    """Add all OPTIONS to a command; ``how_to_extract`` reads them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def how_to_extract(
    *,
    protocol: str,
    chat: bool | None,
    thinking: str | None,
    template_date: str | None,
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
    given = {"chat": chat, "thinking": thinking, "template_date": template_date}
    changes |= {name: value for name, value in given.items() if value is not None}
    changes |= {"spans": None if spans == "none" else spans, "step_pattern": step_pattern}
    if projections is not None:
        changes["projections"] = [name.strip() for name in projections.split(",")]
    return make_protocol(protocol, **changes), placement


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
