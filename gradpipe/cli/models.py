"""``gradpipe models``: add, list and remove models of the workspace's study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.name_completion import complete_model_ids, complete_models
from gradpipe.cli.options import current_workspace, workspace_option
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.series_config import SeriesConfig
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


@click.group()
def models() -> None:
    """Add, list and remove models of the workspace's study."""


@models.command("add")
@click.argument("model", metavar="ID", shell_complete=complete_model_ids)
@click.option("--revision", help="A branch, tag or commit of a hub model.")
@click.option("--name", default="", help="The model's or series' name in tables and charts.")
@click.option(
    "--checkpoints",
    metavar="PATTERN",
    help="Add the checkpoints in the folder ID as a series, for example 'checkpoint-*'.",
)
@click.option(
    "--revisions",
    metavar="PATTERN",
    help="Add branches and tags of the hub model ID as a series, for example 'step*'.",
)
@click.option("--every", type=float, help="Of a series: only steps that are multiples of this.")
@click.option("--first", type=float, help="Of a series: the first step.")
@click.option("--last", type=float, help="Of a series: the last step.")
@click.option("--base", help="Of a series: the model that the training started from.")
@click.option(
    "--tokenizer",
    metavar="FOLDER|ID",
    help="Use this tokenizer instead of the model's own, for a checkpoint without one.",
)
@click.option(
    "--adapter",
    type=click.Choice(["merged", "factors"]),
    help="Measure an adapter at the merged weights (default) or at its factors A and B.",
)
@workspace_option
def models_add(
    model: str,
    revision: str | None,
    name: str,
    tokenizer: str | None,
    adapter: str | None,
    **series: Any,
) -> None:
    """Add a model: a hub id, a local folder, a .gguf file, or demo.

    With --checkpoints or --revisions, adds a series: each checkpoint is a model named SERIES@STEP,
    and new checkpoints become models as they are saved.
    """
    from storage.study_models import add_model, add_series

    workspace = current_workspace()
    settings = {key: value for key, value in series.items() if value is not None}
    if settings and not {"checkpoints", "revisions"} & settings.keys():
        raise GradpipeError(
            f"--{min(settings)} is of a series: give --checkpoints PATTERN or --revisions PATTERN."
        )
    if settings and revision is not None:
        raise GradpipeError("--revision is of one model: leave it out, or add a single model.")
    given = {"tokenizer": tokenizer, "adapter": adapter}
    how: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if settings:
        added = add_series(workspace, model, name=name, **settings, **how)
    else:
        added = add_model(workspace, model, revision, name, **how)
    _sync_partitions(workspace)
    study = workspace.study()
    automatic = study.automation is True
    steps = f" with {_count(study, added)}" if settings else ""
    click.echo(
        f"Added {added}{steps}; "
        + ("the daemon" if automatic else "`gradpipe run`")
        + " computes its missing results."
    )
    for note in workspace.series_notes(study):
        click.echo(note, err=True)


@models.command("list")
@workspace_option
def models_list() -> None:
    """List the study's models, and its series with their steps."""
    from gradpipe.studies.series_config import SeriesConfig

    workspace = current_workspace()
    study = workspace.study()
    listed = {entry.name for entry in study.entries}
    for entry in study.entries:
        if isinstance(entry, SeriesConfig):
            if entry.base is not None and entry.base not in listed:
                click.echo(entry.base)
            click.echo(_series_line(study, entry))
        else:
            click.echo(entry.name if entry.name == entry.id else f"{entry.name}  ({entry.id})")
    for note in workspace.series_notes(study):
        click.echo(note, err=True)


@models.command("remove")
@click.argument("name", metavar="NAME", shell_complete=complete_models)
@click.option(
    "--rows", is_flag=True, help="Delete its rows too; adding the model again recomputes them."
)
@workspace_option
def models_remove(name: str, rows: bool) -> None:
    """Remove a model or a series from the study.

    The report leaves it out from its next update on. Its rows stay in the store, so adding it again
    costs nothing, unless --rows is given. A single step of a series, such as sft@100, can only lose
    its rows: it is computed again if its checkpoint exists.
    """
    from storage.study_models import delete_rows, remove_model

    workspace = current_workspace()
    before = workspace.study()
    step = next((m for m in before.models if m.name == name and m.series is not None), None)
    if rows and step is not None and name not in {entry.name for entry in before.entries}:
        delete_rows(workspace, before, name)
        exists = step.checkpoint is not None
        fate = f"its checkpoint is still at {step.id}" if exists else "its checkpoint is gone"
        end = ": the next run computes them again." if exists else ", and so is the step."
        _sync_partitions(workspace)
        click.echo(f"The rows of {name} are deleted; {fate}{end}")
        return
    remove_model(workspace, name)
    _sync_partitions(workspace)
    if rows:
        delete_rows(workspace, before, name)
    click.echo(f"Removed {name}; its rows " + ("are deleted." if rows else "stay in the store."))


def _series_line(study: Study, entry: SeriesConfig) -> str:
    """A series as one line: its name, place and steps, with those whose weights are gone."""
    steps = [model for model in study.models if model.series == entry.name]
    gone = sum(model.record is not None for model in steps)
    labels = [model.name.rpartition("@")[2] for model in steps]
    shown = labels if len(labels) <= 12 else [*labels[:6], "...", *labels[-5:]]
    kept = f"; of {gone} only the rows are left" if gone else ""
    listed = f": {', '.join(shown)}" if labels else ""
    return f"{entry.name}  ({entry.id}, {_count(study, entry.name)}{listed}{kept})"


def _count(study: Study, series: str) -> str:
    count = sum(model.series == series for model in study.models)
    return "1 step" if count == 1 else f"{count or 'no'} steps"


def _sync_partitions(workspace: Workspace) -> None:
    from assets.partitions import sync_partitions
    from assets.running.instance import open_instance

    with open_instance(workspace) as instance:
        sync_partitions(instance, workspace.study())
