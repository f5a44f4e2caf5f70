"""The documentation names files that exist; `make docs` checks the links of the site itself."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

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
