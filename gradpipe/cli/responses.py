"""``gradpipe responses``: the responses that a model wrote for the workspace's study."""

from __future__ import annotations

from pathlib import Path

import click

from gradpipe.cli.name_completion import complete_benchmarks, complete_styles
from gradpipe.cli.options import current_workspace, study_option, workspace_option


@click.group("responses")
def responses_group() -> None:
    """Take the responses that a model wrote out of the workspace."""


@responses_group.command("export")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write: a Parquet file and a card.",
)
@study_option
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_benchmarks,
    help="Only this benchmark (repeatable).",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    metavar="STYLE",
    shell_complete=complete_styles,
    help="Only this style (repeatable).",
)
@click.option(
    "--accepted/--all",
    "accepted",
    default=True,
    show_default=True,
    help="Only the responses that passed the gates, or all of them with their verdicts.",
)
@click.option(
    "--with-thinking",
    is_flag=True,
    help="Add the model's thinking to the messages, as `reasoning_content`.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in the folder.")
@workspace_option
def responses_export(
    out: Path,
    study: str | None,
    benchmarks: tuple[str, ...],
    styles: tuple[str, ...],
    accepted: bool,
    with_thinking: bool,
    overwrite: bool,
) -> None:
    """Write the responses that a model wrote as a data set for training.

    FOLDER gets a Parquet file, whose column `messages` holds each question and its response as a
    conversation, and a card (README.md). The other columns say where a response comes from: model,
    prompt, sampling, tokens, cost, verdict. `datasets.load_dataset(FOLDER)`, TRL and the commands
    of gradpipe read it. Computes nothing; the study needs no gradients.
    """
    from assets.planning.response_export import exported_rows
    from gradpipe.responses.export.dataset_folder import check_folder, write_dataset
    from gradpipe.standalone.input_files import refuse_inputs
    from gradpipe.studies.load import load_study

    check_folder(out, overwrite)
    workspace = current_workspace()
    chosen = load_study(study) if study else workspace.written_study()
    read = [entry.path for entry in chosen.benchmarks if entry.source == "files"]
    refuse_inputs(out, read, folder=True)
    export = exported_rows(
        workspace, chosen, benchmarks, styles, accepted=accepted, with_thinking=with_thinking
    )
    write_dataset(export.rows, out, chosen.name, accepted=accepted, overwrite=overwrite)
    for name in export.missing:
        click.echo(f"{name} has no responses yet: `gradpipe run` writes them.", err=True)
    left = f"; {export.rejected} that did not pass are left out (--all)" if export.rejected else ""
    click.echo(f"{export.rows.height} responses in {out}{left}")
