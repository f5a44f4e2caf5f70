"""The page in a browser: opened from a file, it draws, answers its pickers and asks nobody."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.build import build_report
from gradpipe.report.inputs import ReportInputs
from tests.conftest import BROWSER

SCRIPT = "<script>document.title = 'run'</script>"
FIRST_CHOICES = {"model": "demo", "benchmark": "mini_commonsense", "statistic": "nuclear_norm"}
Make = Callable[..., ReportInputs]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Opened:
    """A report opened in the browser, with what it complained of and what it asked for."""

    def __init__(self, browser: Any, index: Path, width: int = 1280) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(index.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]")

    def lines(self, chart: str) -> list[str]:
        """The shapes of the lines drawn in a chart."""
        paths = self.page.locator(f"#chart-{chart} .mark-line path")
        shapes: list[str] = paths.evaluate_all("all => all.map((p) => p.getAttribute('d'))")
        return shapes

    def after(self, chart: str, act: Callable[[], object]) -> None:
        """Do something and wait until the chart is drawn again."""
        box = f"#chart-{chart}"
        before = self.page.get_attribute(box, "data-drawn")
        act()
        self.page.wait_for_function(
            "([box, old]) => document.querySelector(box).dataset.drawn !== old", arg=[box, before]
        )


@pytest.fixture(scope="module")
def index(make_inputs: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = make_inputs(models=("demo", "demo-base"), layers=8, reason=SCRIPT)
    return build_report(inputs, tmp_path_factory.mktemp("page") / "report", images=False)


@pytest.fixture(scope="module")
def wide(browser: Any, index: Path) -> Opened:
    return Opened(browser, index)


@pytest.fixture
def opened(wide: Opened) -> Opened:
    """The page as it opens: loading it anew for each test would take most of their time."""
    for name, first in FIRST_CHOICES.items():
        if wide.page.input_value(f"#pick-{name}") != first:
            wide.after("curves", lambda n=name, v=first: wide.page.select_option(f"#pick-{n}", v))
    return wide


def test_every_chart_is_drawn(opened: Opened, tmp_path: Path) -> None:
    opened.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert len(opened.lines("curves")) == 3 * 4
    assert len(opened.lines("relevance")) == 3 * 2 * 4
    assert opened.page.locator("#chart-mad .mark-symbol path").count() >= 2 * 3 * 2 * 4
    assert len(opened.lines("knowledge")) == 2 * 2 * 4


def test_nothing_is_fetched_and_the_console_is_silent(opened: Opened) -> None:
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []


def test_the_charts_have_descriptions_for_screen_readers(opened: Opened) -> None:
    label = opened.page.locator("#chart-curves").get_attribute("aria-label")
    assert label is not None
    assert "nuclear norm · demo · mini_commonsense" in label


def test_pickers_change_the_curves_and_their_caption(opened: Opened) -> None:
    page = opened.page
    for picker, choice, caption in (
        ("model", "demo-base", "nuclear norm · demo-base · mini_commonsense"),
        ("benchmark", "mini_popular", "nuclear norm · demo-base · mini_popular"),
        ("statistic", "effective_rank", "effective rank · demo-base · mini_popular"),
    ):
        before = opened.lines("curves")
        opened.after("curves", lambda p=picker, c=choice: page.select_option(f"#pick-{p}", c))
        assert opened.lines("curves") != before
        assert page.inner_text('[data-shown="curves"]').startswith(caption)


def test_the_statistic_picker_changes_the_tables(opened: Opened) -> None:
    before = opened.page.inner_text("#table-mad tbody")
    opened.after("mad", lambda: opened.page.select_option("#pick-statistic", "sigma1_ratio"))
    assert opened.page.inner_text("#table-mad tbody") != before
    assert "σ₁ ratio" in opened.page.inner_text("#caption-mad")


def test_a_style_can_be_switched_off_by_keyboard(opened: Opened) -> None:
    opened.page.focus(".styles input[value=none]")
    opened.after("curves", lambda: opened.page.keyboard.press("Space"))
    assert len(opened.lines("curves")) == 2 * 4
    opened.after("curves", lambda: opened.page.keyboard.press("Space"))
    assert len(opened.lines("curves")) == 3 * 4


def test_the_scale_can_be_made_logarithmic(opened: Opened) -> None:
    before = opened.lines("curves")
    opened.after("curves", lambda: opened.page.check('[data-log="curves"]'))
    assert opened.lines("curves") != before
    opened.after("curves", lambda: opened.page.uncheck('[data-log="curves"]'))
    assert opened.lines("curves") == before
    assert opened.complaints == []


def test_the_nearest_point_is_told_in_a_tooltip(opened: Opened) -> None:
    opened.page.locator("#chart-curves").scroll_into_view_if_needed()
    box = opened.page.locator("#chart-curves .mark-line path").nth(4).bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.page.mouse.move(box["x"] + box["width"] / 2 + 2, box["y"] + box["height"] / 2)
    opened.page.wait_for_selector("#vg-tooltip-element.visible")
    assert "standard error" in opened.page.inner_text("#vg-tooltip-element")
    assert opened.complaints == []


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_chart_can_be_saved(opened: Opened, tmp_path: Path, kind: str) -> None:
    with opened.page.expect_download() as download:
        opened.page.click(f'[data-save="curves"][data-as="{kind}"]')
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.suffix == f".{kind}"
    assert saved.stat().st_size > 3_000
    assert opened.complaints == []


def test_on_a_phone_nothing_hangs_over_the_edge(browser: Any, index: Path) -> None:
    opened = Opened(browser, index, width=390)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.page.evaluate(
        "[...document.querySelectorAll('.chart')].every((c) => c.scrollWidth <= c.clientWidth + 2)"
    )


def test_script_in_the_data_is_shown_and_not_run(opened: Opened) -> None:
    assert SCRIPT in opened.page.inner_text("#table-unusable_reasons")
    assert opened.page.title() == "demo · gradpipe report"


def test_a_page_without_results_opens_in_silence(
    browser: Any, empty_inputs: ReportInputs, tmp_path: Path
) -> None:
    index = build_report(empty_inputs, tmp_path / "report", images=False)
    complaints: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(index.as_uri())
    assert "No usable rows" in page.inner_text("header")
    assert complaints == []
