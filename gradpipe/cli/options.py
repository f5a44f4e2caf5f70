"""The current workspace, and the options that several commands share."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import click

from gradpipe.cli.name_completion import (
    WORKSPACE_KEY,
    complete_folders,
    complete_model_ids,
    complete_studies,
)
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from pathlib import Path

    from storage.workspace import Workspace

#: Where a command's context remembers when it started.
_STARTED = "gradpipe.started"

study_option = click.option(
    "--study",
    metavar="FILE|NAME",
    shell_complete=complete_studies,
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


MODEL_HELP = "A hub id, a local folder, a .gguf file, or demo."
model_option = click.option(
    "--model", required=True, shell_complete=complete_model_ids, help=MODEL_HELP
)
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


def _remember_workspace(context: click.Context, _: click.Parameter, given: str | None) -> None:
    if given == "":
        raise GradpipeError(
            "--workspace is empty: name a folder or a URL, or leave out the option."
        )
    if given is not None:
        context.meta[WORKSPACE_KEY] = given


#: Of every command that uses a workspace; ``current_workspace`` and its like know it.
workspace_option = click.option(
    "--workspace",
    metavar="DIR|URL",
    callback=_remember_workspace,
    expose_value=False,
    shell_complete=complete_folders,
    help="The workspace to use (default: GRADPIPE_HOME, or .gradpipe in the current folder).",
)


def start_clock() -> None:
    """Remember that the running command starts now."""
    click.get_current_context().meta[_STARTED] = perf_counter()


def seconds_since_start() -> float:
    """The seconds for which the command has been running; 0 outside of one."""
    context = click.get_current_context(silent=True)
    now = perf_counter()
    started: float = now if context is None else context.meta.get(_STARTED, now)
    return now - started


def named_workspace() -> str | None:
    """The workspace that --workspace names in the running command; None without the option."""
    context = click.get_current_context(silent=True)
    given: str | None = None if context is None else context.meta.get(WORKSPACE_KEY)
    return given


def current_workspace() -> Workspace:
    """The workspace that --workspace or else GRADPIPE_HOME names.

    Raises WorkspaceError if it cannot be used.
    """
    from storage.workspace import Workspace

    return Workspace.current(named_workspace())


def workspace_folder() -> Path | None:
    """The local folder of the current workspace, which may not exist yet; None for a URL.

    Raises WorkspaceError if the path is invalid.
    """
    from storage.workspace import Workspace

    return Workspace.current_folder(named_workspace())


def workspace_if_there() -> Workspace | None:
    """The current workspace, or None if its folder does not exist yet.

    Raises WorkspaceError if it cannot be used.
    """
    from storage.workspace import Workspace

    return Workspace.existing(named_workspace())
