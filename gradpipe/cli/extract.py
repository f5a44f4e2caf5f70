"""``gradpipe extract``: the gradient spectra of one file, without a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradpipe.cli.extraction import (
    data_options,
    data_source,
    extraction_options,
    how_to_extract,
)
from gradpipe.cli.options import columns_option, response_template_option
from gradpipe.cli.token_options import span_options
from gradpipe.models.source import AdapterReading


@click.command()
@click.argument("data", metavar="DATA")
@click.option("--model", required=True, help="A hub id, a local folder, a .gguf file, or demo.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The Parquet file to write."
)
@click.option(
    "--offset", default=0, type=click.IntRange(min=0), help="Number of rows of DATA to skip."
)
@click.option(
    "--limit", default=None, type=click.IntRange(min=1), help="Maximum number of rows to read."
)
@data_options
@columns_option
@response_template_option
@span_options
@click.option(
    "--heads", is_flag=True, help="Also write the spectra of each attention head (column heads)."
)
@extraction_options
def extract(
    data: str,
    model: str,
    out: Path,
    offset: int,
    limit: int | None,
    config: str | None,
    split: str | None,
    revision: str | None,
    columns: dict[str, str] | None,
    response_template: str | None,
    tokenizer: str | None,
    adapter: AdapterReading,
    base: str | None,
    **how: Any,
) -> None:
    """Write the gradient spectra of every row of DATA to a table.

    DATA is a JSON, JSONL, CSV, TSV, Parquet or Arrow file, a folder or quoted pattern of such
    files, a folder that `Dataset.save_to_disk` wrote, or hub:ORG/NAME, a data set of the Hugging
    Face hub. Its columns are those of any format of training data, such as messages, or
    instruction, input (optional) and output; the format found is printed. The table has one row per
    (example, layer, projection), with the statistics and the singular values; `example` is the
    row's number in DATA. With --spans, rows of each part of the response follow, named in `span`.
    Rows that cannot be used, for example without an output, are listed with the reason and skipped.
    No workspace is used.
    """
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.extract_file import extract_file

    protocol, placement = how_to_extract(**how)
    source = data_source(data, config, split, revision)
    with ProgressView() as view:
        unusable, usable = extract_file(
            source,
            model,
            out,
            protocol,
            offset=offset,
            limit=limit,
            columns=columns,
            response_template=response_template,
            report=lambda progress: view.extraction(data, progress),
            placement=placement,
            tokenizer=tokenizer,
            adapter=adapter,
            base=base,
        )
    for row, reason in unusable:
        click.echo(f"row {row} cannot be used: {reason}", err=True)
    click.echo(f"{usable} examples in {out}" + (f", {len(unusable)} unusable" if unusable else ""))
    if not usable:
        raise click.exceptions.Exit(1)
