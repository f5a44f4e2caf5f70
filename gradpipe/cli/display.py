"""Open a page in the browser, or say where it is if there is no browser to open it with."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from storage.workspace import Workspace


def has_display() -> bool:
    """Whether a window that this process opens can be seen."""
    if sys.platform in {"darwin", "win32"}:
        # A remote shell would open the window where nobody sits.
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def is_watched() -> bool:
    """Whether a person sees what the command prints, rather than a script or a CI service."""
    return sys.stdout.isatty() and os.environ.get("CI", "").lower() in {"", "0", "false"}


def open_report(workspace: Workspace) -> None:
    """Open the workspace's report in the browser; if that is impossible, say how to read it."""
    page = workspace.report_page
    local = workspace.files.local_path(page)
    if local is None:
        folder = workspace.report_folder
        message = f"copy {folder} to this machine and open {page.name} there."
        click.echo(f"A browser cannot open a page of an object store: {message}", err=True)
    elif not has_display():
        click.echo(f"There is no display here: open {local} in a browser.", err=True)
    elif not _opened(local.as_uri()):
        click.echo(f"No browser was found: open {local} in one.", err=True)


def _opened(address: str) -> bool:
    return click.launch(address) == 0 or webbrowser.open(address)
