"""The documentation names files that exist; `make docs` checks the links of the site itself."""

import re
from pathlib import Path

import pytest

from docs.build_gallery import GALLERY, build_gallery, made_up
from tests.conftest import ROOT
from tests.report.made_up_study import made_up_study

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"(?<![\w./])(?:gradpipe|assets|storage|tests|bench)(?:/\w+)+\.\w+", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    tests = set(re.findall(r"test_\w+\.py", text))
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert tests <= there
    # Pages of the reference are made from the code, and those of notebooks from examples/.
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    made = {f"notebooks/{notebook.stem}.md" for notebook in (ROOT / "examples").glob("*.ipynb")}
    missing = [link for link in missing if link.removeprefix("../") not in made]
    assert [link for link in missing if "reference/" not in link] == []


def test_the_gallery_links_to_the_reports_that_it_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = made_up(made_up_study(layers=2, examples=2), "small")
    for name in GALLERY:
        monkeypatch.setitem(GALLERY, name, lambda: small)
    report = tmp_path / "workspace" / "report" / "index.html"
    report.parent.mkdir(parents=True)
    report.write_text('<body data-study="another">', "utf-8")
    build_gallery(tmp_path, tmp_path / "workspace")
    linked = re.findall(r'href="([^"]+)"', (ROOT / "docs" / "gallery.md").read_text("utf-8"))
    assert sorted(linked) == sorted(f"gallery/{name}/index.html" for name in GALLERY)
    assert all("Made-up results" in (tmp_path / link).read_text("utf-8") for link in linked)
    report.write_text('<body data-study="demo">', "utf-8")
    monkeypatch.delitem(GALLERY, "large")
    build_gallery(tmp_path, tmp_path / "workspace")
    assert (tmp_path / "gallery/demo/index.html").read_bytes() == report.read_bytes()
