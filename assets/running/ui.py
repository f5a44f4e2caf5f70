"""The Dagster UI on a workspace."""

import os
import sys

from assets.partitions import sync_partitions
from assets.running.dagster_ui import CODE_FOLDER, python_command, run_dev
from assets.running.instance import dagster_home, open_instance
from storage.workspace import Workspace


def serve(workspace: Workspace, host: str, port: int) -> None:
    """Replace this process by the UI and its daemon, after updating the partitions.

    They start in the instance's own folder: Dagster warns about a `dagster.yaml` anywhere else.
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
    target = ["-m", "definitions", "--working-directory", str(CODE_FOLDER)]
    dev = python_command(run_dev.__name__)
    command = [*dev, "dev", *target, "--host", host, "--port", str(port)]
    os.chdir(home)
    os.execve(sys.executable, command, environment)
