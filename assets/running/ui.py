"""The Dagster UI on a workspace."""

import os
import sys
from pathlib import Path

from assets.partitions import sync_partitions
from assets.report_link import REPORT_URL, SERVED_WORKSPACE
from assets.running.instance import dagster_home, open_instance
from assets.running.ports import port_from
from assets.running.report_server import start_report_server
from storage.workspace import Workspace

#: The folder of `definitions.py`, next to this package.
_CODE = Path(__file__).resolve().parents[2]


def serve(workspace: Workspace, host: str, port: int) -> None:
    """Replace this process by the UI and its daemon, after updating the partitions.

    The report is served beside it, at the next free port, and assets link to it, unless
    GRADPIPE_REPORT_URL names another address. The UI starts in the instance's own folder: Dagster
    warns about a `dagster.yaml` anywhere else.
    """
    with open_instance(workspace) as instance:
        sync_partitions(instance, workspace.study())
    home = dagster_home(workspace)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "GRADPIPE_HOME": str(workspace.root),
        # Dagster recommends `dg dev`, from a package that gradpipe does not need.
        "PYTHONWARNINGS": ",".join(
            filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:Function `dev_command`"))
        ),
    }
    if not os.environ.get(REPORT_URL):
        # Other studies of the code location have pages that this server does not have.
        environment[SERVED_WORKSPACE] = str(workspace.root)
        free = port_from(host, port + 1)
        environment[REPORT_URL] = start_report_server(workspace, host, free)
    target = ["-m", "definitions", "--working-directory", str(_CODE)]
    command = [sys.executable, "-m", "dagster", "dev", *target, "--host", host, "--port", str(port)]
    os.chdir(home)
    os.execve(sys.executable, command, environment)
