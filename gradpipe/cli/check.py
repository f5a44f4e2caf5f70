"""``gradpipe check`` and ``gradpipe schema``: the mistakes of a study, and what it may contain."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from gradpipe.cli.options import study_option, workspace_if_there, workspace_option

if TYPE_CHECKING:
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


@click.command("check")
@study_option
@click.option(
    "--offline",
    is_flag=True,
    help="Do not look for models and data sets of the hub, only at names.",
)
@workspace_option
def check_command(study: str | None, offline: bool) -> None:
    """Say everything that is wrong with a study, and compute nothing.

    By default the workspace's study. All mistakes in the file are listed with their lines; then all
    models that are missing or incomplete, and all data that are missing or have other columns. The
    exit code is 2 if there are any. Checkpoints of a series that are missing or not used are named
    too, but are not mistakes.
    """
    from gradpipe.studies.inputs import input_faults, refuse_faults, require_inputs
    from gradpipe.studies.load import load_study
    from storage.workspace import DEFAULT_STUDY

    workspace = workspace_if_there()
    if study is None and workspace is not None:
        chosen = workspace.written_study()
    else:
        chosen = load_study(study or DEFAULT_STUDY)
    notes = _notes_on_series(chosen, workspace, offline)
    for note in notes:
        click.echo(note, err=True)
    if offline:
        require_inputs(chosen)
    else:
        refuse_faults(chosen, list(input_faults(chosen, thorough=True)))
    click.echo(f"{describe_study(chosen)}: nothing {'else ' if notes else ''}is wrong.")


def _notes_on_series(study: Study, workspace: Workspace | None, offline: bool) -> list[str]:
    """What a run would say about the checkpoints of the study's series.

    ``offline``: only of local ones.
    """
    from gradpipe.studies.series import series_of
    from storage.series_records import SeriesRecords
    from storage.series_steps import series_steps

    # Without a workspace, which a check does not make, remote lists are kept nowhere.
    with TemporaryDirectory() as folder:
        records = SeriesRecords(Path(folder)) if workspace is None else workspace.series
        return [
            note
            for entry in series_of(study)
            if not offline or (entry.checkpoints is not None and "://" not in entry.id)
            for note in series_steps(entry, records).notes
        ]


@click.command("schema")
def schema_command() -> None:
    """Print the JSON schema of study files, for editors.

    `gradpipe schema > study.schema.json`, and `# yaml-language-server: $schema=study.schema.json`
    as the first line of a study, has VS Code complete and explain its settings.
    """
    from gradpipe.studies.schema import study_schema

    click.echo(json.dumps(study_schema(), indent=2, ensure_ascii=False, default=str))


def describe_study(study: Study) -> str:
    """Name a study with its numbers of models and benchmarks."""
    parts = [(len(study.models), "model"), (len(study.benchmarks), "benchmark")]
    counts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in parts]
    return f"The study {study.name!r} with {counts[0]} and {counts[1]}"
