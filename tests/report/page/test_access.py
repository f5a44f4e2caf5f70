"""Accessibility: the checks of axe-core, the keyboard, and screen readers."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.build import build_report
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

Make = Callable[..., ReportInputs]
OPEN_ALL = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"


@pytest.fixture(scope="module")
def axe() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index(make_inputs: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kinds = {"mini_maths": "math", "mini_popular": "knowledge"}
    inputs = make_inputs(models=("demo", "demo-base"), benchmarks=kinds, layers=4, examples=3)
    return build_report(inputs, tmp_path_factory.mktemp("access") / "report", images=False)


@pytest.fixture(scope="module")
def opened(browser: Any, index: Path) -> Opened:
    return Opened(browser, index)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(
    browser: Any, index: Path, axe: str, width: int, scheme: str
) -> None:
    # The page's own policy would keep axe out, so it is bypassed here, and only here.
    viewport = {"width": width, "height": 900}
    context = browser.new_context(bypass_csp=True, viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.add_init_script(axe)
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    page.evaluate(OPEN_ALL)
    results = page.evaluate("axe.run({resultTypes: ['violations']})")
    serious = [
        (finding["id"], finding["nodes"][0]["html"][:200])
        for finding in results["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
    assert len(results["passes"]) > 20
    assert serious == []
    context.close()


def test_every_chart_has_a_description_of_what_it_draws(opened: Opened) -> None:
    charts = opened.page.eval_on_selector_all(
        ".chart",
        "all => all.map((c) => [c.id, c.getAttribute('role'), c.getAttribute('aria-label')])",
    )
    assert len(charts) == 20
    for name, role, label in charts:
        assert role == "graphics-document", name
        assert "Panels: " in label, name
        assert "Values from " in label, name
    curves = {name: label for name, _, label in charts}["chart-curves"]
    assert "nuclear norm · demo · mini_maths" in curves
    assert "Shown: none, simplified, detailed." in curves


def test_a_choice_is_announced(opened: Opened) -> None:
    page = opened.page
    assert page.get_attribute("#status", "role") == "status"
    opened.after("curves", lambda: page.select_option("#pick-model", "demo-base"))
    assert page.inner_text("#status") == "Shown: nuclear norm, demo-base, mini_maths."
    opened.after("curves", lambda: page.select_option("#pick-model", "demo"))


def test_a_table_is_sorted_by_keyboard_and_says_how(opened: Opened) -> None:
    page = opened.page
    heading = page.locator("#table-mad th", has=page.get_by_role("button", name="v", exact=True))
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.inner_text("#status") == "Sorted by v, largest first."
    assert page.locator("#table-mad th[aria-sort]").count() == 1


def test_everything_that_can_be_used_shows_its_focus(opened: Opened) -> None:
    page = opened.page
    page.focus("#pick-model")
    page.keyboard.press("Tab")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"


def test_in_print_the_controls_go_and_the_closed_parts_open(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert not page.is_visible(".controls")
    assert not page.is_visible("nav")
    assert not page.is_visible('[data-save="curves"]')
    assert page.is_visible("#study-file")
    assert page.is_visible("#extremes .card pre >> nth=0")
    assert page.eval_on_selector(".scroll", "(s) => getComputedStyle(s).maxHeight") == "none"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.is_visible("#study-file")
    assert page.is_visible(".controls")
