"""``gradpipe merge``: join the tables of parts of one data file."""

from __future__ import annotations

from pathlib import Path

import click

from gradpipe.errors import GradpipeError


@click.command("merge")
@click.argument(
    "parts",
    metavar="PART...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The Parquet file to write."
)
@click.option("--overwrite", is_flag=True, help="Replace the output file if it exists.")
def merge(parts: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Join tables that `gradpipe extract` wrote for parts of one DATA.

    Each PART is a file or a folder of shards. They must be of the same model, protocol and version
    of gradpipe, and of different rows. The rows of the output are in the order of DATA, whatever
    the order of the parts; it is what one `gradpipe extract` of all these rows would have written.

    \b
    gradpipe extract data.jsonl --model M --limit 5000 --out a.parquet
    gradpipe extract data.jsonl --model M --offset 5000 --out b.parquet
    gradpipe merge a.parquet b.parquet --out spectra.parquet
    """
    from gradpipe.standalone.input_files import refuse_inputs
    from gradpipe.standalone.merge_parts import merge_spectra

    refuse_inputs(out, parts)
    if out.exists() and not overwrite:
        raise GradpipeError(
            f"{out} already exists: give another --out, or replace it by --overwrite."
        )
    usable, unusable = merge_spectra(parts, out)
    click.echo(f"{usable} examples in {out}" + (f", {unusable} unusable" if unusable else ""))
