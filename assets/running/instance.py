"""The workspace's Dagster instance: runs, events and partitions outlive a command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import yaml
from filelock import FileLock

from assets.dagster_workarounds.pool_limits import set_pool_limits
from gradpipe.errors import WorkspaceError
from gradpipe.system.atomic_files import written_aside
from gradpipe.system.extras import missing_package
from storage.workspace import Workspace

#: Names a Postgres database for Dagster's runs, events, schedules and pools, one per workspace.
POSTGRES = "GRADPIPE_POSTGRES_URL"

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_SETTINGS = """\
# Written by gradpipe where it is missing; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  # Each is a process of its own, and all but one wait for the accelerator.
  runs:
    max_concurrent_runs: 4
  pools:
    granularity: op
    default_limit: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""
_POSTGRES_SETTINGS = f"""{_SETTINGS}\
storage:
  postgres:
    postgres_url:
      env: {POSTGRES}
"""


def dagster_home(workspace: Workspace) -> Path:
    """The instance's folder, with gradpipe's settings unless the user changed them.

    Raises WorkspaceError if the folder cannot be written, or if the user's own settings contradict
    GRADPIPE_POSTGRES_URL.
    """
    home = workspace.dagster_home
    settings = home / "dagster.yaml"
    wanted = _POSTGRES_SETTINGS if os.environ.get(POSTGRES) else _SETTINGS
    try:
        text = settings.read_text("utf-8", "replace") if settings.is_file() else None
        if text in {None, _SETTINGS, _POSTGRES_SETTINGS}:
            if text != wanted:
                home.mkdir(parents=True, exist_ok=True)
                with written_aside(settings) as temporary:
                    temporary.write_text(wanted, "utf-8")
            return home
    except OSError as error:
        raise WorkspaceError(
            f"{home} cannot be written ({error.strerror}): check the workspace's permissions and "
            "its disk's free space."
        ) from error
    _require_agreement(settings, text)
    return home


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The workspace's instance.

    Raises WorkspaceError if the folder, or the Postgres database that GRADPIPE_POSTGRES_URL names,
    cannot be used.
    """
    home = dagster_home(workspace)
    if url := os.environ.get(POSTGRES):
        return _open_in_postgres(home, url)
    # Two commands that start in a new workspace would fail if both created Dagster's tables.
    with FileLock(home / ".opening.lock"):
        _create_databases(home)
        return dg.DagsterInstance.from_config(str(home))


def _create_databases(home: Path) -> None:
    """Create Dagster's missing databases, each completely or not at all.

    Dagster creates one table after the other; if it is stopped in between, it never creates the
    rest.
    """
    missing = [name for name in _DATABASES if not (home / name).exists()]
    settings = (home / "dagster.yaml").read_text("utf-8", "replace")
    if not missing or settings != _SETTINGS:
        return
    for leftover in home.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with TemporaryDirectory(dir=home, prefix=".new-", ignore_cleanup_errors=True) as folder:
        new_home = Path(folder)
        (new_home / "dagster.yaml").write_text(settings, "utf-8")
        with dg.DagsterInstance.from_config(folder):
            pass
        for name in missing:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (new_home / name).replace(home / name)


def _require_agreement(settings: Path, text: str) -> None:
    """Raise WorkspaceError if settings that the user changed contradict GRADPIPE_POSTGRES_URL."""
    try:
        changed = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WorkspaceError(
            f"{settings} is not valid YAML: fix it, or delete it to restore gradpipe's settings."
        ) from error
    match changed:
        case {"storage": {"postgres": {"postgres_url": {"env": str(variable)}}}}:
            in_postgres = variable == POSTGRES
        case _:
            in_postgres = False
    if in_postgres and not os.environ.get(POSTGRES):
        raise WorkspaceError(
            f"{settings} keeps Dagster's runs in the database that {POSTGRES} names, but the "
            "variable is not set: set it, or remove `storage` from the file."
        )
    if not in_postgres and os.environ.get(POSTGRES):
        raise WorkspaceError(
            f"{POSTGRES} is set, but the edited {settings} does not use it: add to that file "
            f"`storage: {{postgres: {{postgres_url: {{env: {POSTGRES}}}}}}}`, or unset {POSTGRES}."
        )


def _open_in_postgres(home: Path, url: str) -> dg.DagsterInstance:
    """The instance whose runs are in the database.

    A lock in the database keeps two commands from creating Dagster's tables at the same time.
    """
    from assets.stages import STAGES

    try:
        import sqlalchemy
        from dagster_postgres.utils import DagsterPostgresException

        try:
            target = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):
            target = sqlalchemy.URL.create("unreadable")
        # The part of a password after an @ would be read as the host, which errors show.
        if target.get_backend_name() != "postgresql" or "@" in (target.host or ""):
            raise WorkspaceError(
                f"{POSTGRES} is not a URL like postgresql://user:password@host:port/db: fix it, "
                "and percent-encode special characters of the password (@ is %40)."
            )
        engine = sqlalchemy.create_engine(
            target, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": 10}
        )
    except ImportError as error:
        raise WorkspaceError(missing_package("dagster_postgres", POSTGRES)) from error
    try:
        with engine.begin() as connection:
            lock = "SELECT pg_advisory_xact_lock(hashtext('gradpipe'))"
            connection.execute(sqlalchemy.text(lock))
            instance = dg.DagsterInstance.from_config(str(home))
            set_pool_limits(instance, {stage.pool for stage in STAGES if stage.pool})
            return instance
    except (sqlalchemy.exc.SQLAlchemyError, DagsterPostgresException) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
        raise WorkspaceError(
            f"The Postgres database that {POSTGRES} names cannot be used ({reason}): check that "
            "the server is running and that the URL's host, user, password and database are right."
        ) from error
