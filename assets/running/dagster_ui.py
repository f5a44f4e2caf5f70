"""`dagster dev` with the report's files: what the processes of `gradpipe ui` run.

Dagster's command has no option for further routes. So its webserver is started from here, with one
more route; all else is Dagster's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from assets.report_link import SERVED_REPORT
from assets.running.report_server import report_route
from storage.workspace import Workspace

#: The folder of `definitions.py` and of the package `assets`.
CODE_FOLDER = Path(__file__).resolve().parents[2]


def python_command(function: str) -> list[str]:
    """The command that calls a function of this module in a new process, in whatever folder."""
    code = f"import sys; sys.path.insert(0, {str(CODE_FOLDER)!r}); "
    code += f"from {__name__} import {function}; {function}()"
    return [sys.executable, "-c", code]


def run_dev() -> None:
    """`dagster dev` with the arguments of this process; its webserver is ``run_webserver``."""
    from dagster._cli import dev, main

    theirs = [sys.executable, "-m", "dagster_webserver"]
    start = dev.open_ipc_subprocess

    def start_with_report(command: list[str], **settings: Any) -> Any:
        if command[: len(theirs)] == theirs:
            command = [*python_command(run_webserver.__name__), *command[len(theirs) :]]
        return start(command, **settings)

    dev.open_ipc_subprocess = start_with_report
    main()


def run_webserver() -> None:
    """Dagster's webserver, which also answers with the files of the workspace's report."""
    from dagster_webserver import cli

    create = cli.create_app_from_workspace_process_context

    def create_with_report(*arguments: Any, **settings: Any) -> Any:
        app = create(*arguments, **settings)
        # Before Dagster's last route, which answers to every path.
        app.router.routes.insert(0, report_route(Workspace.current(), SERVED_REPORT))
        return app

    cli.create_app_from_workspace_process_context = create_with_report
    cli.main()
