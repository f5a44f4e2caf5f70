"""The report's files over HTTP: only they, and without rights in Dagster's UI."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from assets.running.report_server import report_file, report_route
from storage.workspace import Workspace


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
    """A client of a server that has the report's route alone."""
    with TestClient(Starlette(routes=[report_route(workspace, "/report")])) as client:
        yield client


def test_files_are_served_with_their_types_in_a_sandbox(client: TestClient) -> None:
    page = client.get("/report/index.html")
    assert page.text == "<title>The page</title>"
    assert page.headers["content-type"].startswith("text/html")
    assert "allow-same-origin" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert client.get("/report/charts/a%20b.svg").headers["content-type"] == "image/svg+xml"
    assert client.post("/report/index.html").status_code == 405


@pytest.mark.parametrize(
    "name",
    ["", ".", "charts", "missing", "../study.yaml", "charts/../../study.yaml", "link.yaml", "//x"],
)
def test_nothing_else_is_served(name: str, workspace: Workspace) -> None:
    assert report_file(workspace, name) is None
    assert report_file(workspace, str(Path(str(workspace.root)) / "study.yaml")) is None


@pytest.mark.parametrize("path", ["../study.yaml", "%2e%2e/study.yaml", "..%2fstudy.yaml"])
def test_no_address_leads_out_of_the_folder(path: str, client: TestClient) -> None:
    assert client.get(f"/report/{path}").status_code == 404
