"""The current workspace, and the options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from pathlib import Path

    from storage.workspace import Workspace

study_option = click.option(
    "--study",
    metavar="FILE|NAME",
    help=(
        "A study's YAML file, or a built-in study: demo, demo_generated, paper, quality or "
        "thinking."
    ),
)


def _columns(_: click.Context, __: click.Parameter, given: str | None) -> dict[str, str] | None:
    """Parse words such as messages=chat,tools=functions into a mapping from roles to columns."""
    if given is None:
        return None
    entries = [word.partition("=") for word in given.split(",")]
    if not all(role.strip() and column.strip() for role, _, column in entries):
        raise GradpipeError(
            f"--columns {given!r} is invalid: write ROLE=COLUMN, for example messages=chat or "
            "prompt=question,completion=answer."
        )
    return {role.strip(): column.strip() for role, _, column in entries}


def _escaped(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    r"""Write each \n of a text as a line break, and \t as a tab, which shells leave as they are."""
    return given if given is None else given.replace("\\n", "\n").replace("\\t", "\t")


columns_option = click.option(
    "--columns",
    callback=_columns,
    metavar="ROLE=COLUMN,...",
    help="The columns to read, for example messages=chat or prompt=q,completion=rejected.",
)
response_template_option = click.option(
    "--response-template",
    callback=_escaped,
    metavar="TEXT",
    help=r"In a column of plain texts, where the response begins, for example '### Response:\n'.",
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
