"""The page in a browser: opened from a file, it draws, follows its pickers and fetches nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.build import build_report
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

SCRIPT = "<script>document.title = 'run'</script>"
FIRST_CHOICES = {"model": "demo", "benchmark": "mini_commonsense", "statistic": "nuclear_norm"}
Make = Callable[..., ReportInputs]


@pytest.fixture(scope="module")
def index(make_inputs: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = make_inputs(models=("demo", "demo-base"), layers=8, reason=SCRIPT)
    return build_report(inputs, tmp_path_factory.mktemp("page") / "report", images=False)


@pytest.fixture(scope="module")
def wide(browser: Any, index: Path) -> Opened:
    return Opened(browser, index)


@pytest.fixture
def opened(wide: Opened) -> Opened:
    """The page as it opens: loading it again for each test would take most of their time."""
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


def test_a_tooltip_shows_the_nearest_point(opened: Opened) -> None:
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


def test_a_legend_entry_that_is_clicked_dims_the_others(opened: Opened) -> None:
    page = opened.page

    def seen() -> list[str]:
        lines = page.locator("#chart-curves .mark-line path")
        found: list[str] = lines.evaluate_all("all => all.map((p) => p.getAttribute('opacity'))")
        return found

    assert set(seen()) == {"1"}
    page.locator("#chart-curves .role-legend-label text", has_text="simplified").click()
    page.wait_for_selector("#chart-curves .mark-line path[opacity='0.1']")
    assert seen().count("1") == 4
    assert seen().count("0.1") == 8
    page.locator("#chart-curves svg").click(position={"x": 4, "y": 4})
    page.wait_for_selector("#chart-curves .mark-line path[opacity='0.1']", state="detached")
    assert set(seen()) == {"1"}
    assert opened.complaints == []


def test_the_ratios_drawn_are_those_of_the_curves(opened: Opened, index: Path) -> None:
    assert len(opened.lines("ratio")) == 3 * 4
    assert len(opened.lines("over")) == 3 * 4
    page = opened.page
    said = page.get_attribute("#chart-over", "aria-label")
    assert said is not None
    low, high = map(float, re.findall(r"Values from (\S+) to (\S+)\.", said)[0])
    # The synthetic curves: irrelevant is 1.4 times as large for detailed, 1.03 otherwise.
    assert 1.0 < low < 1.03
    assert 1.4 < high < 1.43


def test_pickers_beside_a_chart_change_that_chart_only(opened: Opened) -> None:
    page = opened.page
    for picker, choice, chart in (
        ("claim", "relevance", "verdicts"),
        ("kind", "next_layer", "alignment"),
        ("quantity", "mad", "length"),
        ("segment", "early", "mad"),
    ):
        before = page.inner_html(f"#chart-{chart}")
        curves = page.get_attribute("#chart-curves", "data-drawn")
        first = page.input_value(f"#pick-{picker}")
        opened.after(chart, lambda p=picker, c=choice: page.select_option(f"#pick-{p}", c))
        assert page.inner_html(f"#chart-{chart}") != before
        assert page.get_attribute("#chart-curves", "data-drawn") == curves
        opened.after(chart, lambda p=picker, c=first: page.select_option(f"#pick-{p}", c))
    assert opened.complaints == []


def test_the_verdict_table_keeps_to_the_claim_and_model(opened: Opened) -> None:
    page = opened.page
    opened.after("verdicts", lambda: page.select_option("#pick-claim", "early"))
    rows = page.locator("#table-verdicts_by_projection tbody tr")
    assert rows.count() == 2
    assert all("early layers" in text for text in rows.all_inner_texts())
    opened.after("verdicts", lambda: page.select_option("#pick-claim", "thought"))
    assert rows.count() == 4


def test_the_study_file_can_be_downloaded(opened: Opened, tmp_path: Path) -> None:
    opened.page.evaluate("document.querySelector('#study-file').closest('details').open = true")
    with opened.page.expect_download() as download:
        opened.page.click("a[download]")
    download.value.save_as(tmp_path / "study.yaml")
    assert (tmp_path / "study.yaml").read_text() == opened.page.text_content("#study-file")


def test_a_browser_that_cannot_unpack_says_so(browser: Any, index: Path) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(index.as_uri())
    page.wait_for_selector("#no-data", state="visible")
    assert "folder charts/" in page.inner_text("#no-data")
    assert page.is_visible("#findings .finding")
    page.close()


def test_without_script_the_findings_and_overall_verdicts_are_there(
    browser: Any, index: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(index.as_uri())
    assert page.locator("#findings .finding").count() > 3
    assert page.locator("#table-verdicts_overall tbody tr").count() == 8
    assert "switched off" in page.inner_text("noscript")
    assert page.locator('a[href="tables/mad.csv"]').count() == 1
    context.close()


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
    assert "No usable examples" in page.inner_text("header")
    # Without charts there is no overview to skip to.
    assert page.get_attribute("a.skip", "href") == "#findings"
    assert page.locator("#findings").count() == 1
    assert complaints == []
