"""Tooltips: the pointer on a mark of every kind of chart shows the mark's own values."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gradpipe.report.charts.kinds import ALL_KINDS
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened
from tests.report.made_up_grid import discrimination_of
from tests.report.made_up_series import series_inputs

#: Words that a tooltip has instead of a value that it did not find.
NOT_FOUND = ("undefined", "null", "NaN", "[object")
FIGURES = [kind.figure.id for kind in ALL_KINDS if kind.figure is not None]
#: Charts of results that only training runs have.
OF_RUNS = ("claims-by-steps", "steps", "layers-by-steps")
#: A line of each tooltip whose value is one of those in the made-up results.
EXPECTED = {
    **dict.fromkeys(
        ("headline", "curves", "relevance", "twins", "over", "rd", "mad", "sizes", "steps"),
        ("style", {"none", "simplified", "detailed", "100 tokens", "500 tokens", "1000 tokens"}),
    ),
    "ratio": ("pair", {"none / simplified", "none / detailed", "simplified / detailed"}),
    **dict.fromkeys(("aurocs", "heatmap", "styles"), ("projection", {"q", "k", "v", "o"})),
    "models": ("model", {"demo", "demo-base"}),
    "knowledge": ("benchmark", {"mini_popular", "mini_unpopular"}),
    "verdicts": ("benchmark", {"mini_commonsense", "mini_maths"}),
    "length": ("pair", {"none / simplified", "none / detailed", "simplified / detailed"}),
    "alignment": ("relevance", {"correct", "irrelevant"}),
    "spectra": ("end", {"largest", "smallest"}),
    "claims-by-steps": ("series", {"sft"}),
    "layers-by-steps": ("step", {"0", "10", "20"}),
}


@pytest.fixture(scope="module")
def pages(
    browser: Any,
    make_inputs: Callable[..., ReportInputs],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[bool, Opened]:
    """A page of two models, and one of a training run (True)."""
    models = make_inputs(models=("demo", "demo-base"), layers=4)
    models = replace(models, discrimination=discrimination_of(models.curves))
    folder = tmp_path_factory.mktemp("tooltips")
    opened = {}
    for of_runs, inputs in ((False, models), (True, series_inputs(2, layers=4))):
        index = folder / f"{of_runs}.html"
        index.write_text(render_page(inputs), encoding="utf-8", newline="\n")
        opened[of_runs] = Opened(browser, index)
    return opened


def tooltip_of(opened: Opened, chart: str) -> dict[str, str]:
    """The lines of the tooltip at the first mark of a chart that has one."""
    page = opened.page
    page.mouse.move(0, 0)
    page.locator(f"#chart-{chart}").scroll_into_view_if_needed()
    marks = page.locator(f"#chart-{chart} :is(.mark-symbol, .mark-rect).role-mark path")
    for place in range(marks.count()):
        # Dots of size 0 and marks outside of the page cannot be pointed at.
        box = marks.nth(place).bounding_box()
        if box and box["width"] > 2 and box["height"] > 2:
            marks.nth(place).scroll_into_view_if_needed()
            box = marks.nth(place).bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(x - 1, y)
            page.mouse.move(x, y)
            page.wait_for_selector("#vg-tooltip-element.visible", timeout=300_000)
            rows = page.locator("#vg-tooltip-element tr")
            return dict(
                rows.evaluate_all("all => all.map((r) => [...r.cells].map((c) => c.textContent))")
            )
    raise AssertionError(f"{chart} has no mark to point at")


@pytest.mark.parametrize("chart", FIGURES)
def test_the_tooltip_of_a_mark_has_its_values(pages: dict[bool, Opened], chart: str) -> None:
    opened = pages[chart in OF_RUNS]
    values = {name.rstrip(":"): value for name, value in tooltip_of(opened, chart).items()}
    assert len(values) > 2
    assert not [word for word in NOT_FOUND if word in str(values)]
    assert "" not in values.values()
    if chart in EXPECTED:
        name, possible = EXPECTED[chart]
        assert values[name] in possible
    assert opened.complaints == []
