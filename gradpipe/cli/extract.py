"""``gradpipe extract``: the gradient spectra of one file, without a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradpipe.cli.data_rows import DataRows, data_rows_options
from gradpipe.cli.engine_options import engine_options, gradients_of
from gradpipe.cli.extraction import extraction_options, how_to_extract
from gradpipe.cli.options import model_option
from gradpipe.cli.token_options import span_options
from gradpipe.cli.work_folder import downloads_folder, work_folder, work_option
from gradpipe.models.source import AdapterReading

#: Unusable rows that are listed on the terminal.
LISTED_ROWS = 100


@click.command()
@click.argument("data", metavar="DATA")
@model_option
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The Parquet file to write, or with --shard-size a folder.",
)
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Write a folder of files with this many rows of DATA each.",
)
@work_option
@data_rows_options
@span_options
@click.option(
    "--heads", is_flag=True, help="Also write the spectra of each attention head (column heads)."
)
@engine_options
@extraction_options
def extract(
    data: str,
    model: str,
    out: Path,
    shard_size: int | None,
    work: Path | None,
    rows: DataRows,
    engine: str,
    ray: tuple[str, ...],
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

    Finished rows are kept in OUT.work until the table is complete: if the command is stopped, run
    it again to compute the others. To divide DATA between machines, use --offset and --limit or
    --where, and join the tables with `gradpipe merge`.
    """
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.data_source import revision_of
    from gradpipe.standalone.example_runner import ExampleRunner
    from gradpipe.standalone.extraction_run import ExtractionRun
    from gradpipe.standalone.input_files import refuse_inputs

    protocol, placement = how_to_extract(**how)
    source = rows.source(data)
    refuse_inputs(out, [source], folder=shard_size is not None)
    chunks = rows.chunks(source, downloads_folder(work, out), ends=shard_size)
    runner = ExampleRunner(
        model, protocol, placement, tokenizer=tokenizer, adapter=adapter, base=base
    )
    with (
        ProgressView() as view,
        work_folder(work, out) as kept,
        gradients_of(engine, ray, runner) as gradients,
    ):
        unusable, usable = ExtractionRun(
            chunks,
            runner,
            out,
            kept=kept,
            gradients=gradients,
            shard_size=shard_size,
            revision=revision_of(source),
            report=lambda progress: view.run(data, progress),
        ).run()
    for row, reason in unusable[:LISTED_ROWS]:
        click.echo(f"row {row} cannot be used: {reason}", err=True)
    if len(unusable) > LISTED_ROWS:
        click.echo(f"{len(unusable) - LISTED_ROWS} more rows cannot be used", err=True)
    click.echo(f"{usable} examples in {out}" + (f", {len(unusable)} unusable" if unusable else ""))
    if not usable:
        raise click.exceptions.Exit(1)
