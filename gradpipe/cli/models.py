"""``gradpipe models``: add, list and remove models of the workspace's study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradpipe.cli.options import current_workspace

if TYPE_CHECKING:
    from storage.workspace import Workspace


@click.group()
def models() -> None:
    """Add, list and remove models of the workspace's study."""


@models.command("add")
@click.argument("model", metavar="ID")
@click.option("--revision", help="A branch, tag or commit of a hub model.")
@click.option("--name", default="", help="The model's name in tables and charts.")
def models_add(model: str, revision: str | None, name: str) -> None:
    """Add a model: a hub id, a local folder, a .gguf file, or demo."""
    from storage.study_models import add_model

    workspace = current_workspace()
    added = add_model(workspace, model, revision, name)
    _sync_partitions(workspace)
    automatic = workspace.study().automation is True
    click.echo(
        f"Added {added}; "
        + ("the daemon" if automatic else "`gradpipe run`")
        + " computes its missing results."
    )


@models.command("list")
def models_list() -> None:
    """List the study's models."""
    for model in current_workspace().study().models:
        click.echo(model.name if model.name == model.id else f"{model.name}  ({model.id})")


@models.command("remove")
@click.argument("name", metavar="NAME")
@click.option(
    "--rows", is_flag=True, help="Delete its rows too; adding the model again recomputes them."
)
def models_remove(name: str, rows: bool) -> None:
    """Remove a model from the study.

    The report leaves it out from its next update on. The model's rows stay in the store, so adding
    it again costs nothing, unless --rows is given.
    """
    from storage.study_models import remove_model

    workspace = current_workspace()
    remove_model(workspace, name)
    _sync_partitions(workspace)
    if rows:
        workspace.delete_model(name)
    click.echo(f"Removed {name}; its rows " + ("are deleted." if rows else "stay in the store."))


def _sync_partitions(workspace: Workspace) -> None:
    from assets.partitions import sync_partitions
    from assets.running.instance import open_instance

    with open_instance(workspace) as instance:
        sync_partitions(instance, workspace.study())
