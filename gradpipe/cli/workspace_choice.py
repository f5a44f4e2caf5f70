"""The workspace of `gradpipe run --study`: no study takes another's place by accident."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from gradpipe.errors import WorkspaceError

if TYPE_CHECKING:
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


def workspace_for(workspace: Workspace, study: Study, *, replace: bool) -> Workspace:
    """The workspace to run a study in: ``workspace``, or a folder in it if it holds another study.

    Asks if a person can answer; otherwise the study gets a workspace of its own, unless
    ``replace``. Says on stderr which workspace it is if the workspace holds another study. Raises
    WorkspaceError if the study cannot have a workspace of its own.
    """
    from storage.study_workspaces import other_study, own_workspace

    held = other_study(workspace, study)
    if held is None:
        return workspace
    if not replace and _can_ask():
        replace = click.confirm(
            f"The workspace {workspace.root} holds the study {held!r}. Replace it by "
            f"{study.name!r}? Otherwise {study.name!r} gets a workspace of its own",
            err=True,
        )
    if replace:
        click.echo(
            f"The study {study.name!r} replaces {held!r} in the workspace {workspace.root}: stored "
            "results are kept, and the report is rebuilt.",
            err=True,
        )
        return workspace
    own = own_workspace(workspace, study)
    _require_own_records(workspace, own, study)
    click.echo(
        f"The workspace {workspace.root} holds the study {held!r}, so {study.name!r} has its own: "
        f"{own.root}. For other commands on it, add --workspace {own.root}",
        err=True,
    )
    return own


def _can_ask() -> bool:
    """Whether a person can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _require_own_records(workspace: Workspace, own: Workspace, study: Study) -> None:
    """Raise WorkspaceError if both workspaces would share Dagster's runs and partitions."""
    from assets.running.instance import POSTGRES

    shared = POSTGRES if os.environ.get(POSTGRES) else None
    if own.dagster_home == workspace.dagster_home:
        shared = shared or "DAGSTER_HOME"
    if shared:
        raise WorkspaceError(
            f"The workspace {workspace.root} holds another study, and a workspace for "
            f"{study.name!r} would share its records of runs: set GRADPIPE_HOME and {shared} to "
            "others, or give --replace."
        )
