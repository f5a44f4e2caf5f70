"""The report's files over HTTP: only they, for as long as the process that started the server."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from assets.running.ports import port_from
from assets.running.report_server import report_app, report_file
from storage.workspace import Workspace
from tests.conftest import ROOT

#: Starts the server, says so, and becomes another program, as `gradpipe ui` does.
STARTS = """
import os, sys
from assets.running.report_server import start_report_server
from storage.workspace import Workspace
workspace, port = Workspace.current(sys.argv[1]), int(sys.argv[2])
print(start_report_server(workspace, "127.0.0.1", port), flush=True)
os.execv(sys.executable, [sys.executable, "-c", "input()"])
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a page, a chart, and files that are none of the report's."""
    root = tmp_path / "workspace"
    (root / "report" / "charts").mkdir(parents=True)
    (root / "report" / "index.html").write_text("<title>The page</title>")
    (root / "report" / "charts" / "a b.svg").write_text("<svg/>")
    (root / "study.yaml").write_text("name: secret")
    (root / "report" / "link.yaml").symlink_to(root / "study.yaml")
    return Workspace(root)


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(report_app(workspace)) as client:
        yield client


def test_files_are_served_with_their_types_and_may_send_nothing(client: TestClient) -> None:
    page = client.get("/")
    assert page.text == "<title>The page</title>"
    assert page.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/charts/a%20b.svg").headers["content-type"] == "image/svg+xml"
    assert client.post("/index.html").status_code == 405


@pytest.mark.parametrize(
    "name",
    ["", ".", "charts", "missing", "../study.yaml", "charts/../../study.yaml", "link.yaml", "//x"],
)
def test_nothing_else_is_served(name: str, workspace: Workspace) -> None:
    assert report_file(workspace, name) is None
    assert report_file(workspace, str(Path(str(workspace.root)) / "study.yaml")) is None


@pytest.mark.parametrize("path", ["../study.yaml", "%2e%2e/study.yaml", "..%2fstudy.yaml"])
def test_no_address_leads_out_of_the_folder(path: str, client: TestClient) -> None:
    assert client.get(f"/{path}").status_code == 404


def test_the_server_ends_with_the_process_that_started_it(workspace: Workspace) -> None:
    port = port_from("127.0.0.1", 0)
    command = [sys.executable, "-c", STARTS, str(workspace.root), str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as starter:
        assert starter.stdout is not None
        address = starter.stdout.readline().strip()
        assert address == f"http://127.0.0.1:{port}/index.html"
        assert read_until(address, answers=True) == "<title>The page</title>"
        starter.kill()
    assert read_until(address, answers=False) is None


def read_until(address: str, *, answers: bool) -> str | None:
    """What the server answers, once it does; or None once it does not."""
    deadline = time.monotonic() + 120
    found: str | None = None
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=10) as reply:
                found = reply.read().decode()
        except OSError:
            found = None
        if (found is not None) == answers:
            break
        time.sleep(0.1)
    return found
