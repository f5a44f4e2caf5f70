"""The workspace's Dagster instance: runs, events and partitions outlive a command."""

import os
from pathlib import Path

import dagster as dg

from gradpipe.errors import WorkspaceError
from storage.workspace import Workspace

_SETTINGS = """\
# Written by gradpipe where it is missing; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: op
    default_limit: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""


def dagster_home(workspace: Workspace) -> Path:
    """The instance's folder, made with gradpipe's settings at the first call."""
    home = workspace.dagster_home
    settings = home / "dagster.yaml"
    if not settings.is_file():
        try:
            home.mkdir(parents=True, exist_ok=True)
            settings.write_text(_SETTINGS, "utf-8")
        except OSError as error:
            raise WorkspaceError(
                f"{home} cannot be written ({error.strerror}): check the workspace's permissions."
            ) from error
    return home


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The workspace's instance; the environment names it too, for whatever Dagster starts."""
    home = dagster_home(workspace)
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))
