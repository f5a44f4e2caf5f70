"""Where data are, and how to compute gradients: options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.token_options import Command, token_options, token_settings, with_options
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.placement import Placement
    from gradpipe.standalone.data_source import DataSource

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
BASE_OPTION = click.option(
    "--base",
    metavar="FOLDER|ID",
    help="The base model of an adapter (default: the one that it names).",
)
OPTIONS = (
    click.option(
        "--adapter",
        type=click.Choice(["merged", "factors"]),
        default="merged",
        show_default=True,
        help="Of a LoRA adapter: measure the merged weights, or the factors A and B.",
    ),
    BASE_OPTION,
    click.option(
        "--projections",
        metavar="LIST",
        help=(
            "Any of q,k,v,o,gate,up,down, and of a mixture's router,shared_gate,shared_up,"
            "shared_down, separated by commas (default: q,k,v,o)."
        ),
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
    return with_options(command, DATA_OPTIONS)


def extraction_options(command: Command) -> Command:
    """Add TOKEN_OPTIONS and OPTIONS to a command; ``how_to_extract`` reads them."""
    return token_options(with_options(command, OPTIONS))


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
    projections: str | None,
    layer_names: tuple[str, ...],
    device_map: str | None,
    checkpointing: bool,
    max_memory: tuple[str, ...],
    heads: bool = False,
    **tokens: Any,
) -> tuple[Protocol, Placement]:
    """The protocol and the model's placement that the options describe; raises GradpipeError.

    ``tokens`` are the options that ``token_settings`` reads.
    """
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.models.placement import Placement

    memory: Any = {place: size for place, _, size in (part.partition("=") for part in max_memory)}
    placement = Placement(device_map, checkpointing, memory or None)
    changes = {"layer_names": _layer_names(layer_names), **token_settings(**tokens)}
    if heads:
        changes["heads"] = True
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
