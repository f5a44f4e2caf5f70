"""The Dagster UI on a workspace."""

import os
import sys

from assets.instance import dagster_home, open_instance
from assets.partitions import sync_partitions
from storage.workspace import Workspace


def serve(workspace: Workspace, host: str, port: int) -> None:
    """Replace this process by the UI and its daemon, with the study's partitions in place."""
    with open_instance(workspace) as instance:
        sync_partitions(instance, workspace.study())
    environment = os.environ | {
        "DAGSTER_HOME": str(dagster_home(workspace)),
        "GRADPIPE_HOME": str(workspace.root),
    }
    command = [sys.executable, "-m", "dagster", "dev", "-m", "definitions"]
    os.execve(sys.executable, [*command, "--host", host, "--port", str(port)], environment)
