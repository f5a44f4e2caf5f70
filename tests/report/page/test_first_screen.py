"""The first screen: title, one large chart and the main findings, without scrolling."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

STUDY = {"name": "mine", "title": "Do answers shrink?", "description": "A question in one line."}


@pytest.fixture(scope="module")
def index(
    make_inputs: Callable[..., ReportInputs], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    inputs = make_inputs(layers=6, examples=4)
    models = [inputs.provenance["models"][0] | {"label": "Small (4-bit GGUF)"}]
    provenance = inputs.provenance | {"study": STUDY, "models": models}
    index = tmp_path_factory.mktemp("first") / "index.html"
    page = render_page(replace(inputs, provenance=provenance))
    index.write_text(page, encoding="utf-8", newline="\n")
    return index


@pytest.fixture(scope="module")
def opened(browser: Any, index: Path) -> Opened:
    return Opened(browser, index, width=1400)


def bottom_of(opened: Opened, selector: str) -> float:
    box = opened.page.locator(selector).first.bounding_box()
    assert box is not None
    return float(box["y"] + box["height"])


def test_title_models_chart_and_three_findings_are_above_the_fold(opened: Opened) -> None:
    page = opened.page
    assert page.inner_text("h1") == STUDY["title"]
    assert page.inner_text(".lead") == STUDY["description"]
    assert "Small (4-bit GGUF)" in page.inner_text(".facts")
    assert page.locator("#chart-headline .mark-line path").count() == 3
    assert bottom_of(opened, "#chart-headline") < 900
    assert page.locator(".headlines tbody tr").count() >= 3
    assert bottom_of(opened, ".headlines tbody tr >> nth=2") < 900
    chart = page.locator("#chart-headline").bounding_box()
    assert chart["width"] * chart["height"] > 500 * 350


def test_a_line_has_verdict_ratio_interval_and_the_controls_for_length(opened: Opened) -> None:
    row = opened.page.locator(".headlines tbody tr", has_text="smoother the more")
    assert row.locator(".verdict").inner_text() == "supported"
    cells = row.locator("td").all_inner_texts()
    assert len(cells) == 4
    assert "×" in cells[0]
    assert " to " in cells[0]
    assert "reversed" in cells[3]


def test_terms_are_explained_on_the_first_screen(opened: Opened) -> None:
    terms = opened.page.locator(".terms dt").all_inner_texts()
    assert {"nuclear norm", "MAD", "summed loss"} <= {term.rstrip(":\u00a0") for term in terms}


def test_the_projection_of_the_large_chart_can_be_chosen(opened: Opened) -> None:
    page, before = opened.page, opened.lines("headline")
    opened.after("headline", lambda: page.select_option("#pick-projection", "v"))
    assert opened.lines("headline") != before
    assert "v · value" in page.inner_text('[data-shown="headline"]')
    opened.after("headline", lambda: page.select_option("#pick-projection", "q"))


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_is_cut_off(browser: Any, index: Path, width: int) -> None:
    opened = Opened(browser, index, width=width)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Every label, title and legend lies inside the drawing of its chart.
    outside = page.evaluate(
        """[...document.querySelectorAll('.chart svg')].flatMap((svg) => {
          const frame = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter((text) => {
            const box = text.getBoundingClientRect();
            return text.textContent && (box.left < frame.left - 2 || box.right > frame.right + 2);
          }).map((text) => `${svg.closest('.chart').id}: ${text.textContent}`);
        })"""
    )
    assert outside == []
    shortened = page.locator(".chart svg text", has_text="…").all_inner_texts()
    assert shortened == []
    assert opened.complaints == []
    page.close()
