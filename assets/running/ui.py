"""The Dagster UI on a workspace."""

import os
import sys
from pathlib import Path

from assets.partitions import sync_partitions
from assets.running.instance import dagster_home, open_instance
from storage.workspace import Workspace

#: The folder of `definitions.py`, next to this package.
_CODE = Path(__file__).resolve().parents[2]


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
    target = ["-m", "definitions", "--working-directory", str(_CODE)]
    command = [sys.executable, "-m", "dagster", "dev", *target, "--host", host, "--port", str(port)]
    os.chdir(home)
    os.execve(sys.executable, command, environment)
