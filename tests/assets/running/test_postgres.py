"""Dagster's runs in Postgres, tried on a real server of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from assets.dagster_workarounds.killed_runs import release_orphans
from assets.resources import Accelerator
from assets.running.instance import POSTGRES, open_instance
from assets.running.runner import Runner
from assets.stages import STAGES
from gradpipe.cli import main
from gradpipe.errors import WorkspaceError
from gradpipe.studies.load import study_yaml
from storage.workspace import Workspace
from tests.conftest import study_of
from tests.faults.runs import Run

USER, PASSWORD = "gradpipe", "not%to/be:seen"
QUOTED = "not%25to%2Fbe%3Aseen"


@dataclass
class Server:
    """A server on the loopback, and what is in its databases."""

    port: int

    def url(self, database: str, password: str = QUOTED, user: str = USER) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def ask(self, question: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows that a statement answers with, outside any transaction."""
        import psycopg2

        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(question)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def binaries() -> Path:
    """The folder of the server's programs."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("There is no Postgres server here: these tests start one of their own.")


def unprivileged() -> str | None:
    """The user to start the server as, which refuses to run as root."""
    import pwd

    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    programs, user, port = binaries(), unprivileged(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gradpipe-postgres-"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user:
            shutil.chown(folder, user)
            shutil.chown(secret, user)
        identity: dict[str, Any] = {"user": user, "extra_groups": []} if user else {}
        identity |= {"cwd": folder, "stdout": subprocess.DEVNULL}
        cluster = ["--pgdata", str(folder / "data"), "--encoding", "UTF8", "--no-locale"]
        login = ["--username", USER, "--pwfile", str(secret), "--auth", "scram-sha-256"]
        initdb = [str(programs / "initdb"), *cluster, *login, "--no-sync"]
        subprocess.run(initdb, check=True, timeout=300, **identity)
        quick = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p", str(port)]
        place = ["-D", str(folder / "data"), "-k", str(folder)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(programs / "postgres"), *place, *quick], stderr=log, **identity
            )
        try:
            yield _answering(Server(port), process, folder / "log")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(300)
    finally:
        shutil.rmtree(folder)


def _answering(server: Server, process: subprocess.Popen[bytes], log: Path) -> Server:
    import psycopg2

    deadline = time.monotonic() + 300
    while True:
        try:
            server.ask("SELECT 1")
            return server
        except psycopg2.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The server does not answer: {log.read_text()}")
            time.sleep(0.05)


@pytest.fixture
def database(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own, named by the environment."""
    name = f"db_{uuid4().hex}"
    server.ask(f"CREATE DATABASE {name}")
    monkeypatch.setenv(POSTGRES, server.url(name))
    return name


@dataclass
class BroughtUp:
    """A workspace on which two runs of one study were started at once."""

    home: Path
    database: str
    codes: list[int]
    said: list[str]


@pytest.fixture(scope="module")
def both(server: Server, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> BroughtUp:
    folder = tmp_path_factory.mktemp("both")
    home, study = folder / "workspace", folder / "study.yaml"
    of_one = study_of(small_model, "mini_obscure", statistics=["nuclear_norm"])
    study.write_text(study_yaml(of_one))
    server.ask("CREATE DATABASE both_runs")
    settings = {POSTGRES: server.url("both_runs")}
    runs = [Run(home, folder / name, study, environment=settings) for name in ("one", "other")]
    ended = [run.end() for run in runs]
    said = [run.output + run.errors for run in ended]
    return BroughtUp(home, "both_runs", [run.code for run in ended], said)


@pytest.fixture
def brought_up(both: BroughtUp, server: Server, monkeypatch: pytest.MonkeyPatch) -> BroughtUp:
    monkeypatch.setenv("GRADPIPE_HOME", str(both.home))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv(POSTGRES, server.url(both.database))
    return both


def refusal() -> str:
    """What opening the instance is refused with: one sentence without the password."""
    with pytest.raises(WorkspaceError) as caught:
        open_instance(Workspace.current())
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for secret in (PASSWORD, QUOTED, "be:seen"):
        assert secret not in message
    return message


def test_two_runs_at_once_both_end_well_and_every_row_is_there_once(
    server: Server, brought_up: BroughtUp
) -> None:
    assert brought_up.codes == [0, 0], brought_up.said
    assert QUOTED not in "".join(brought_up.said)
    workspace = Workspace.current()
    store = workspace.spectra("small", "mini_obscure")
    stored = pl.concat(pl.read_parquet(part, columns=["key"]) for part in store.parts())
    assert stored["key"].n_unique() == stored.height == 4
    assert workspace.spectra_index("small", "mini_obscure").read().height == 4
    assert server.ask("SELECT DISTINCT status FROM runs", brought_up.database) == [("SUCCESS",)]
    assert server.ask("SELECT run_id FROM concurrency_slots", brought_up.database) == [(None,)]
    keys = server.ask("SELECT partition FROM dynamic_partitions", brought_up.database)
    assert sorted(keys) == [("mini_obscure",), ("small",)]


def test_a_studys_runs_are_in_postgres_and_none_in_the_workspace(
    server: Server, brought_up: BroughtUp
) -> None:
    made = "SELECT asset_key FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
    stages = {f'["{stage.name}"]' for stage in STAGES}
    assert {key for (key,) in server.ask(made, brought_up.database)} == stages
    assert list(brought_up.home.rglob("*.db")) == []


def test_the_same_study_again_computes_nothing(server: Server, brought_up: BroughtUp) -> None:
    runs = server.ask("SELECT count(*) FROM runs", brought_up.database)
    workspace = Workspace.current()
    again = Runner(workspace, workspace.study(), Accelerator()).bring_up_to_date()
    assert {count.computed for count in again.values()} == {0}
    assert server.ask("SELECT count(*) FROM runs", brought_up.database) == runs


def test_the_password_is_in_no_file_of_the_workspace(brought_up: BroughtUp) -> None:
    assert f"env: {POSTGRES}" in (brought_up.home / "dagster" / "dagster.yaml").read_text()
    for file in brought_up.home.rglob("*"):
        assert not file.is_file() or QUOTED.encode() not in file.read_bytes()


def test_a_changed_limit_of_the_pools_holds_from_the_next_start(
    server: Server, database: str, home: Path
) -> None:
    settings = home / "dagster" / "dagster.yaml"
    limits = 'SELECT concurrency_key, "limit" FROM concurrency_limits'
    slots = "SELECT count(*) FROM concurrency_slots WHERE NOT deleted"
    for limit in (1, 2, 1):
        with open_instance(Workspace.current()):
            pass
        assert server.ask(limits, database) == [("gpu", limit)]
        assert server.ask(slots, database) == [(limit,)]
        there, other = f"default_limit: {limit}", f"default_limit: {3 - limit}"
        settings.write_text(settings.read_text().replace(there, other))


HOLDS_AND_WAITS = """
import os, signal, sys
import dagster as dg
from assets.running.instance import open_instance
from assets.dagster_workarounds.killed_runs import process_tag
from storage.workspace import Workspace

with open_instance(Workspace.current()) as instance:
    pools = instance.event_log_storage
    for run_id in sys.argv[1:]:
        started = dg.DagsterRunStatus.STARTED
        tags = process_tag(run_id)
        instance.add_run(dg.DagsterRun("job", run_id=run_id, tags=tags, status=started))
        pools.claim_concurrency_slot("gpu", run_id, "step")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_dead_processs_slot_and_its_place_in_the_queue_are_freed(
    server: Server, database: str
) -> None:
    dead, live = [str(uuid4()), str(uuid4())], str(uuid4())
    killed = subprocess.run(
        [sys.executable, "-c", HOLDS_AND_WAITS, *dead], timeout=300, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with open_instance(Workspace.current()) as instance:
        pools = instance.event_log_storage
        assert len(pools.get_concurrency_info("gpu").claimed_slots) == 1
        release_orphans(instance)
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE] * 2
        assert pools.claim_concurrency_slot("gpu", live, "step").is_claimed


def test_a_server_that_is_not_there_is_named_by_the_command_without_the_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, small_model: Path, tmp_path: Path
) -> None:
    port = free_port()
    monkeypatch.setenv(POSTGRES, Server(port).url("runs"))
    assert "Connection refused" in refusal()
    study = tmp_path / "study.yaml"
    study.write_text(study_yaml(study_of(small_model, "mini_obscure")))
    result = CliRunner().invoke(main, ["run", "--study", str(study)], catch_exceptions=False)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("gradpipe: The Postgres database")
    assert "seen" not in result.output
    assert "Retrying" not in result.output


def test_a_wrong_password_a_missing_database_and_missing_rights_are_told_apart(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES, server.url(database, "wrong%2Fbe%3Aseen"))
    assert "password authentication failed" in refusal()
    monkeypatch.setenv(POSTGRES, server.url("nowhere"))
    assert 'database "nowhere" does not exist' in refusal()
    server.ask(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    server.ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database)
    monkeypatch.setenv(POSTGRES, server.url(database, user="guest"))
    assert "permission denied" in refusal()


@pytest.mark.parametrize(
    "url",
    [
        "not%to/be:seen",
        "mysql://gradpipe:not%25to@127.0.0.1/runs",
        "postgresql://gradpipe:not%25to@127.0.0.1:be:seen/runs",
        "postgresql://gradpipe:not@be:seen@127.0.0.1:5432/runs",
    ],
)
def test_what_is_no_url_of_postgres_is_refused_with_the_form_of_one(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES, url)
    assert "postgresql://user:password@host:port/db" in refusal()


@pytest.mark.parametrize("package", ["dagster_postgres.utils", "psycopg2"])
def test_a_missing_package_is_named_by_the_extra_that_brings_it(
    package: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv(POSTGRES, Server(free_port()).url("runs"))
    assert 'pip install "gradpipe[postgres]"' in refusal()
