"""The current workspace, and the options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradpipe.errors import WorkspaceError

if TYPE_CHECKING:
    from storage.workspace import Workspace

study_option = click.option(
    "--study",
    metavar="FILE|NAME",
    help="A study's YAML file, or a built-in study: demo, demo_generated or paper.",
)
account_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the results as one JSON object on the last line of stdout.",
)


def current_workspace() -> Workspace:
    """The workspace that GRADPIPE_HOME names; raises WorkspaceError where it cannot be used."""
    from storage.workspace import Workspace

    return Workspace.current()


def workspace_address() -> Path | str:
    """The folder or the URL that GRADPIPE_HOME names, whether it is there or not.

    Raises WorkspaceError if the path is invalid.
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    home = os.environ.get("GRADPIPE_HOME") or ".gradpipe"
    if "://" in home and not home.startswith("file://"):
        return home
    local = url2pathname(urlsplit(home).path) if home.startswith("file://") else home
    try:
        return Path(local).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkspaceError(
            f"GRADPIPE_HOME is not a valid path ({error}): set it to a writable folder."
        ) from error


def workspace_if_there() -> Workspace | None:
    """The workspace that GRADPIPE_HOME names; None where its folder is not made yet.

    Raises WorkspaceError where it cannot be used.
    """
    address = workspace_address()
    if isinstance(address, str):
        return current_workspace()
    from storage.workspace import Workspace

    return Workspace(address) if address.is_dir() else None
