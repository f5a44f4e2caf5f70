"""A page of several models: verdicts on their family, and which of them are drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.report.charts.images import static_charts
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

MODELS = ("wren-1b", "wren-2b", "robin-1b")


@pytest.fixture(scope="module")
def on_families(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    """The verdicts on one claim are on the two models of a family together."""
    inputs = make_inputs(models=MODELS, benchmarks={"mini_maths": "math"}, layers=2, examples=3)
    of_claim = pl.col("claim") == "fast_early"
    kept = (pl.col("model") == "wren-1b") | (pl.col("level") == "overall")
    verdicts = inputs.verdicts.filter(~of_claim | kept).with_columns(
        pl.when(of_claim, pl.col("level") == "cell")
        .then(pl.lit("wren"))
        .otherwise("model")
        .alias("model")
    )
    return replace(inputs, verdicts=verdicts)


@pytest.fixture(scope="module")
def index(on_families: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("families") / "index.html"
    index.write_text(render_page(on_families), encoding="utf-8", newline="\n")
    return index


def test_verdicts_on_a_family_are_shown_whichever_model_is_chosen(
    browser: Any, index: Path
) -> None:
    opened = Opened(browser, index, address="#claim=early&model=wren-2b")
    page = opened.page
    assert page.inner_text('[data-count="verdicts_by_projection"]') == "1 row."
    names = page.locator("#chart-verdicts svg text").all_text_contents()
    assert {f"wren · mini_maths · {projection}" for projection in "qkvo"} <= set(names)
    assert page.inner_text('[data-shown="verdicts"]').endswith("· families of models · 3 items")
    assert opened.complaints == []
    page.close()


def test_verdicts_on_a_family_have_an_image_file(on_families: ReportInputs) -> None:
    names = [name for name, _ in static_charts(on_families)]
    assert "verdicts--wren--early" in names


def test_a_link_to_a_page_without_any_model_drawn_shows_none(browser: Any, index: Path) -> None:
    opened = Opened(browser, index)
    boxes = opened.page.locator('[data-boxes="models"] input')
    for place in range(len(MODELS)):
        boxes.nth(place).uncheck()
    address = opened.page.evaluate("location.hash")
    opened.page.close()
    again = Opened(browser, index, address=address)
    ticked = again.page.locator('[data-boxes="models"] input').evaluate_all(
        "all => all.filter((box) => box.checked).length"
    )
    assert ticked == 0
    again.page.close()


def test_an_address_that_cannot_be_decoded_opens_the_page(browser: Any, index: Path) -> None:
    opened = Opened(browser, index, address="#100%")
    opened.page.select_option("#pick-model", "wren-2b")
    assert "model=wren-2b" in opened.page.url
    assert opened.complaints == []
    opened.page.close()


def test_a_click_beside_the_dots_or_on_the_legend_shows_no_example(
    browser: Any, index: Path
) -> None:
    opened = Opened(browser, index)
    page = opened.page
    before = page.inner_text("#clicked-example")
    page.locator("#chart-sizes svg").scroll_into_view_if_needed()
    page.locator("#chart-sizes .role-legend text").first.click(force=True)
    frame = page.locator("#chart-sizes .mark-group.role-scope path.background").first.bounding_box()
    page.mouse.click(frame["x"] + 2, frame["y"] + 2)
    assert page.inner_text("#clicked-example") == before
    assert opened.complaints == []
    page.close()
