"""One file's gradients as one table, without a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradpipe.cli.extraction import extraction_options, how_to_extract


@click.command()
@click.argument("data", metavar="DATA")
@click.option("--model", required=True, help="A hub id, a local folder, a .gguf file, or demo.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The Parquet file to write."
)
@click.option("--offset", default=0, type=click.IntRange(min=0), help="Rows of DATA to skip.")
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Rows of DATA to take.")
@extraction_options
def extract(data: str, model: str, out: Path, offset: int, limit: int | None, **how: Any) -> None:
    """Take the gradient spectra of every row of DATA, without a workspace.

    DATA is JSON, JSONL, CSV or Parquet with the columns instruction, optional input, and output.
    The table has one row per (example, layer, projection), with the statistics and the singular
    values; `example` is the row's number in DATA. Rows that cannot be used, as without an output,
    are named with the reason, and the others go on.
    """
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.extract_file import extract_file

    protocol, placement = how_to_extract(**how)
    with ProgressView() as view:
        unusable, usable = extract_file(
            data,
            model,
            out,
            protocol,
            offset=offset,
            limit=limit,
            report=lambda progress: view.extraction(data, progress),
            placement=placement,
        )
    for row, reason in unusable:
        click.echo(f"row {row} cannot be used: {reason}", err=True)
    click.echo(f"{usable} examples in {out}" + (f", {len(unusable)} unusable" if unusable else ""))
    if not usable:
        raise click.exceptions.Exit(1)
