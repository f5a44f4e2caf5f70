"""The page of a training run: its charts over steps draw, follow their pickers and stay small."""

from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.build import build_report
from gradpipe.report.charts.images import static_charts
from gradpipe.report.page.render import render_page
from gradpipe.report.steps import MOST_DETAILED_STEPS, MOST_DRAWN_STEPS
from gradpipe.statistics.reductions import DEFAULT_STATISTICS
from tests.report.browsing import Opened
from tests.report.made_up_series import series_inputs

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def opened(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = tmp_path_factory.mktemp("steps") / "report"
    index = build_report(series_inputs(20, ("sft", "lora"), layers=4), folder, images=False)
    return Opened(browser, index)


def test_each_series_has_a_line_per_style_and_projection(opened: Opened) -> None:
    page = opened.page
    assert len(opened.lines("steps")) == 2 * 3 * 4
    opened.after("steps", lambda: page.select_option("#pick-series", "lora"))
    assert len(opened.lines("steps")) == 3 * 4
    assert (
        page.inner_text('[data-shown="steps"]') == "nuclear norm: mean over layers · lora · gsm8k"
    )
    assert len(opened.lines("claims-by-steps")) == 2
    opened.after("steps", lambda: page.select_option("#pick-series", ""))
    assert opened.complaints == []


def test_the_quantity_and_a_style_can_be_chosen(opened: Opened) -> None:
    page = opened.page
    before = opened.lines("steps")
    opened.after("steps", lambda: page.select_option("#pick-step_quantity", "mad"))
    assert opened.lines("steps") != before
    opened.after("steps", lambda: page.uncheck(".styles input[value=none]"))
    assert len(opened.lines("steps")) == 2 * 2 * 4
    opened.after("steps", lambda: page.check(".styles input[value=none]"))
    opened.after("steps", lambda: page.select_option("#pick-step_quantity", "mean"))
    assert opened.lines("steps") == before


def test_steps_can_be_logarithmic_and_step_0_stays(opened: Opened) -> None:
    page = opened.page
    dots = page.locator("#chart-steps .mark-symbol path")
    count = dots.count()
    before = opened.lines("steps")
    opened.after("steps", lambda: page.check('[data-log="steps"]'))
    assert opened.lines("steps") != before
    assert dots.count() == count
    opened.after("steps", lambda: page.uncheck('[data-log="steps"]'))
    assert opened.complaints == []


def test_the_heatmap_has_a_cell_per_layer_and_step(opened: Opened) -> None:
    cells = opened.page.locator("#chart-layers-by-steps .mark-rect path")
    # And the bar of the legend.
    assert cells.count() == 4 * 4 * 21 + 1


def test_a_point_names_its_step_and_series(opened: Opened) -> None:
    page = opened.page
    dot = page.locator("#chart-steps .mark-symbol path").nth(3)
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.inner_text("#vg-tooltip-element")
    assert all(word in text for word in ("step", "series", "value"))
    assert "undefined" not in text


def test_only_steps_with_detail_can_be_picked_and_the_page_says_which(opened: Opened) -> None:
    page = opened.page
    offered = page.locator("#pick-model option").all_inner_texts()
    assert len(offered) == 2 * MOST_DETAILED_STEPS - 1
    assert "steps 0, 40, 80, 120, 160 and 200" in page.inner_text("#steps")
    page.click("#findings summary:has-text('How to read')")
    assert "not counted as models" in page.inner_text("#findings")


def test_on_a_phone_the_charts_over_steps_fit(browser: Any, opened: Opened) -> None:
    narrow = Opened(browser, Path(opened.page.url.removeprefix("file://")), width=390)
    assert narrow.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_page_without_a_series_has_no_section_for_it(inputs: Any) -> None:
    assert 'id="steps"' not in render_page(inputs)


def test_image_files_over_steps_are_of_all_series_and_few_models() -> None:
    names = [name for name, _ in static_charts(series_inputs(20, ("sft", "lora"), layers=3))]
    assert "steps--mean--gsm8k--nuclear-norm" in names
    assert "steps--rd--strategyqa--nuclear-norm" in names
    assert "layers-by-steps--lora--gsm8k--none--nuclear-norm" in names
    assert len([name for name in names if name.startswith("curves--")]) == 2 * (
        2 * MOST_DETAILED_STEPS - 1
    )


def test_at_most_a_hundred_steps_are_drawn() -> None:
    charts = dict(static_charts(series_inputs(150, layers=2, statistics=("nuclear_norm",))))
    (rows,) = charts["steps--mad--gsm8k--nuclear-norm"]["datasets"].values()
    steps = {row["step"] for row in rows}
    assert len(steps) == MOST_DRAWN_STEPS
    assert {0.0, 1500.0} <= steps


@pytest.mark.slow
def test_the_page_of_500_checkpoints_is_under_five_megabytes() -> None:
    inputs = series_inputs(500, layers=32, statistics=DEFAULT_STATISTICS, noise=True)
    assert len(render_page(inputs).encode()) < 5 * MEGABYTE
