"""One file's gradients as one table, without a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradpipe.errors import GradpipeError


@click.command()
@click.argument("data", metavar="DATA")
@click.option("--model", required=True, help="A hub id, a local folder, a .gguf file, or demo.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The Parquet file to write."
)
@click.option("--protocol", default="standard", show_default=True, metavar="paper|standard")
@click.option(
    "--chat/--no-chat",
    default=None,
    help="Use the chat template or not (default: if there is one).",
)
@click.option(
    "--projections",
    metavar="LIST",
    help="Any of q,k,v,o,gate,up,down, with commas (default: q,k,v,o).",
)
@click.option(
    "--layer-name",
    "layer_names",
    multiple=True,
    metavar="ROLE=PATH",
    help="Where a projection is in each decoder layer, as q=attn.wq (repeatable).",
)
@click.option("--offset", default=0, type=click.IntRange(min=0), help="Rows of DATA to skip.")
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Rows of DATA to take.")
@click.option(
    "--device-map",
    metavar="auto|DEVICE",
    help="Spread the model over all GPUs, then CPU and disk; or name one device, as cuda:1.",
)
@click.option(
    "--gradient-checkpointing",
    "checkpointing",
    is_flag=True,
    help="Less memory for a third more time: compute each layer twice.",
)
@click.option(
    "--max-memory",
    multiple=True,
    metavar="DEVICE=SIZE",
    help="What --device-map auto may use, as 0=20GiB or cpu=60GiB (repeatable).",
)
def extract(
    data: str,
    model: str,
    out: Path,
    protocol: str,
    chat: bool | None,
    projections: str | None,
    layer_names: tuple[str, ...],
    offset: int,
    limit: int | None,
    device_map: str | None,
    checkpointing: bool,
    max_memory: tuple[str, ...],
) -> None:
    """Take the gradient spectra of every row of DATA, without a workspace.

    DATA is JSON, JSONL, CSV or Parquet with the columns instruction, optional input, and output.
    The table has one row per (example, layer, projection), with the statistics and the singular
    values; `example` is the row's number in DATA.
    """
    from gradpipe.gradients.file import extract_file
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.models.placement import Placement
    from gradpipe.progress import ProgressView

    memory: Any = {place: size for place, _, size in (part.partition("=") for part in max_memory)}
    placement = Placement(device_map, checkpointing, memory or None)
    changes: dict[str, Any] = {"layer_names": _layer_names(layer_names)}
    if chat is not None:
        changes["chat"] = chat
    if projections is not None:
        changes["projections"] = [name.strip() for name in projections.split(",")]
    chosen = make_protocol(protocol, **changes)
    with ProgressView() as view:
        unusable, usable = extract_file(
            data,
            model,
            out,
            chosen,
            offset,
            limit,
            lambda progress: view.extraction(data, progress),
            placement,
        )
    for row, reason in unusable:
        click.echo(f"row {row} cannot be used: {reason}", err=True)
    click.echo(f"{usable} examples in {out}" + (f", {len(unusable)} unusable" if unusable else ""))
    if not usable:
        raise click.exceptions.Exit(1)


def _layer_names(given: tuple[str, ...]) -> dict[str, str]:
    """The layer in each role, of words like q=attn.wq."""
    names = {}
    for word in given:
        role, equals, path = word.partition("=")
        if not equals:
            raise GradpipeError(f"--layer-name cannot be {word!r}: write it as q=attn.wq.")
        names[role.strip()] = path.strip()
    return names
