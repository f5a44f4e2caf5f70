"""The address of the report's page: a link where it is published, else its path."""

from pathlib import Path

import dagster as dg
import pytest

from assets.report_link import report_link
from gradpipe.studies.study import Study
from storage.workspace import Workspace

STUDY = Study.model_validate({"name": "a/b", "models": ["demo"], "benchmarks": ["mini_maths"]})


def test_a_published_page_is_a_link_with_the_studys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPIPE_REPORT_URL", "https://reports.example.org/{study}/index.html")
    link = report_link(Workspace(Path("any")), STUDY)
    assert link == dg.MetadataValue.url("https://reports.example.org/a~b/index.html")


def test_any_other_page_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADPIPE_REPORT_URL", raising=False)
    page = Workspace(Path("any")).report_page
    assert report_link(Workspace(Path("any")), STUDY) == dg.MetadataValue.path(str(page))


def test_the_page_of_a_study_that_the_uis_server_does_not_have_is_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADPIPE_REPORT_URL", "http://127.0.0.1:3001/index.html")
    monkeypatch.setenv("GRADPIPE_SERVED_WORKSPACE", str(Path("any")))
    served, other = (report_link(Workspace(Path(name)), STUDY) for name in ("any", "any/second"))
    assert served == dg.MetadataValue.url("http://127.0.0.1:3001/index.html")
    assert other == dg.MetadataValue.path(str(Workspace(Path("any/second")).report_page))
