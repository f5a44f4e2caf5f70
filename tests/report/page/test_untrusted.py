"""Names and reasons from outside, opened in a browser: they are shown as text and do nothing."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.build import build_report
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

Make = Callable[..., ReportInputs]
RUN = "document.title='run'"
MODELS = (
    f'"><img src=x onerror="{RUN}">',
    f"</script></title><script>{RUN}</script>",
    "=cmd|' /C calc'!A1",
)
BENCHMARKS = {
    f"' autofocus onfocus='{RUN}": "math",
    "a\u2028b\u2029c\u202ed": "commonsense",
    "../../{{7*7}}\\input{/etc/passwd}${1+1}": "knowledge",
}


@pytest.fixture(scope="module")
def index(make_inputs: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = make_inputs(
        models=MODELS, benchmarks=BENCHMARKS, layers=3, examples=2, reason=f"--><svg onload={RUN}>"
    )
    return build_report(inputs, tmp_path_factory.mktemp("untrusted") / "report", images=False)


@pytest.fixture(scope="module")
def opened(browser: Any, index: Path) -> Opened:
    return Opened(browser, index)


def test_nothing_that_came_with_the_data_runs_is_fetched_or_breaks_the_page(opened: Opened) -> None:
    assert opened.page.title().endswith("gradpipe report")
    assert opened.page.locator("img[src=x], svg[onload], [onfocus], [onerror]").count() == 0
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []


def test_every_name_can_be_chosen_and_is_shown_as_it_is(opened: Opened) -> None:
    page = opened.page
    for picker, names in (("model", MODELS), ("benchmark", tuple(BENCHMARKS))):
        values = page.eval_on_selector_all(
            f"#pick-{picker} option", "all => all.map((option) => option.value)"
        )
        assert sorted(values) == sorted(names)
        for name in (*names[1:], names[0]):
            if page.input_value(f"#pick-{picker}") != name:
                opened.after("curves", lambda p=picker, n=name: page.select_option(f"#pick-{p}", n))
            assert name in page.locator("#chart-curves").get_attribute("aria-label")
    assert page.title().endswith("gradpipe report")
    assert opened.complaints == []


def test_a_script_that_got_into_the_page_would_not_run(browser: Any, index: Path) -> None:
    # A page of its own: the complaint that the policy makes is what is looked for.
    page = browser.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    for markup in (f'<img src=x onerror="{RUN}">', f'<iframe srcdoc="<script>parent.{RUN}">'):
        page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", markup)
    page.evaluate(
        "text => { const s = document.createElement('script'); s.textContent = text;"
        " document.body.append(s); }",
        RUN,
    )
    page.wait_for_timeout(200)
    assert page.title().endswith("gradpipe report")
    assert any("Content Security Policy" in text for text in heard)
    page.close()


def test_files_are_named_by_gradpipe_and_tables_hold_the_names_exactly(index: Path) -> None:
    written = [path for path in index.parent.rglob("*") if path.is_file()]
    assert all(path.name.isascii() and path.name.isprintable() for path in written)
    assert all(set(path.stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for path in written)
    with (index.parent / "tables" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == set(MODELS)
    assert {row["benchmark"] for row in rows} == set(BENCHMARKS)


def test_latex_of_those_names_has_no_command_of_theirs(index: Path) -> None:
    tables = list(index.parent.rglob("*.tex"))
    assert tables
    for table in tables:
        text = table.read_text("utf-8")
        assert "\\input" not in text
        assert "${1+1}" not in text
