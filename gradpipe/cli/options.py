"""The current workspace, and the options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from storage.workspace import Workspace

study_option = click.option(
    "--study",
    metavar="FILE|NAME",
    help="A study's YAML file, or a built-in study: demo, demo_generated, paper or thinking.",
)
account_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the results as one JSON object on the last line of stdout.",
)


def current_workspace() -> Workspace:
    """The workspace that GRADPIPE_HOME names; raises WorkspaceError if it cannot be used."""
    from storage.workspace import Workspace

    return Workspace.current()


def workspace_folder() -> Path | None:
    """The local folder that GRADPIPE_HOME names, which may not exist yet; None for a URL.

    Raises WorkspaceError if the path is invalid.
    """
    from storage.workspace import Workspace

    return Workspace.current_folder()


def workspace_if_there() -> Workspace | None:
    """The workspace that GRADPIPE_HOME names, or None if its folder does not exist yet.

    Raises WorkspaceError if it cannot be used.
    """
    from storage.workspace import Workspace

    return Workspace.existing()
