"""The page's view of single examples, its long tables, and text that looks like markup."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.report.build import build_report
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened

Make = Callable[..., ReportInputs]
SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


def hostile(inputs: ReportInputs) -> ReportInputs:
    """Results with markup in every name and sentence that a page shows."""
    spoken = {"title": f"title {SCRIPT}", "statement": f"statement {SCRIPT}"}
    study = {**inputs.provenance, "study_yaml": f"name: {SCRIPT}\n", "hardware": SCRIPT}
    marked = {"nuclear_norm": "nuclear_norm", "sigma1_ratio": SCRIPT}
    statistic = pl.col("statistic").replace(marked)
    return replace(
        inputs,
        curves=inputs.curves.with_columns(statistic),
        mad=inputs.mad.with_columns(statistic),
        rd=inputs.rd.with_columns(statistic),
        claims=inputs.claims.with_columns(pl.lit(v).alias(c) for c, v in spoken.items()),
        verdicts=inputs.verdicts.with_columns(pl.lit(SCRIPT).alias("reason")),
        length=inputs.length.with_columns(pl.lit(SCRIPT).alias("how")),
        provenance=study,
    )


@pytest.fixture(scope="module")
def opened(browser: Any, make_inputs: Make, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    names = {"models": (f"demo {SCRIPT}",), "benchmarks": {f"maths {SCRIPT}": "math"}}
    inputs = make_inputs(**names, layers=6, examples=30, reason=SCRIPT, text=SCRIPT)
    folder = tmp_path_factory.mktemp("examples") / "report"
    return Opened(browser, build_report(hostile(inputs), folder, images=False))


def texts(opened: Opened, column: int) -> list[str]:
    """The texts of a column of the example table."""
    rows = opened.page.locator("#table-examples tbody tr")
    shown: list[str] = rows.evaluate_all(f"all => all.map((r) => r.cells[{column}].textContent)")
    return shown


def numbers(opened: Opened, column: int) -> list[float]:
    """The numbers of a column of the example table."""
    rows = opened.page.locator("#table-examples tbody tr")
    values: list[str] = rows.evaluate_all(f"all => all.map((r) => r.cells[{column}].dataset.value)")
    return [float(value) for value in values]


def test_markup_in_the_data_is_shown_and_not_run(opened: Opened) -> None:
    page = opened.page
    for place in ("header .facts", "#table-unusable_reasons", "#table-rows", "#provenance"):
        assert SCRIPT in page.text_content(place), place
    for place in ("#findings", "#table-verdicts_overall", "#table-verdicts_by_projection"):
        assert f"tatement {SCRIPT}" in page.text_content(place), place
    assert SCRIPT in page.text_content("#extremes .card pre")
    assert SCRIPT in page.text_content("#pick-model")
    assert SCRIPT in page.text_content("#pick-statistic")
    titles = "".join(page.text_content("#chart-verdicts svg").split())
    assert "".join(SCRIPT.split()) in titles
    assert page.locator("main img").count() == 0
    assert page.title() == "demo · gradpipe report"
    assert opened.complaints == []


def test_markup_in_a_tooltip_is_text(opened: Opened) -> None:
    page = opened.page
    dot = page.locator("#chart-length .mark-symbol path").first
    dot.scroll_into_view_if_needed()
    dot.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "<script>" in page.inner_text("#vg-tooltip-element")
    assert page.locator("#vg-tooltip-element img").count() == 0
    assert page.title() == "demo · gradpipe report"
    assert opened.complaints == []


def test_the_examples_are_sorted_by_a_click(opened: Opened) -> None:
    opened.page.click("#table-examples th:has-text('nuclear norm') button")
    rising = numbers(opened, 6)
    opened.page.click("#table-examples th:has-text('nuclear norm') button")
    falling = numbers(opened, 6)
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > rising[-1] > rising[0]


def test_the_examples_are_found_by_text_and_shown_in_full_on_request(opened: Opened) -> None:
    page = opened.page
    assert len(texts(opened, 0)) == 100
    assert page.inner_text('[data-count="examples"]') == "100 of 180 rows."
    page.fill('[data-search="examples"]', "detailed irrelevant")
    assert page.inner_text('[data-count="examples"]') == "30 rows."
    assert set(texts(opened, 1)) == {"detailed"}
    assert set(texts(opened, 2)) == {"irrelevant"}
    page.fill('[data-search="examples"]', "")
    page.click('[data-all="examples"]')
    assert len(texts(opened, 0)) == 180
    assert not page.is_visible('[data-all="examples"]')


def test_the_extreme_examples_are_those_of_the_table(opened: Opened) -> None:
    page = opened.page
    if page.get_attribute("#table-examples th:has-text('nuclear norm')", "aria-sort") is None:
        page.click("#table-examples th:has-text('nuclear norm') button")
    norms = sorted(numbers(opened, 6))
    shown = page.locator("#extremes .side").evaluate_all(
        "all => all.map((s) => [s.querySelector('h4').textContent, "
        "s.querySelector('.numbers').textContent])"
    )
    assert [head for head, _ in shown] == ["The largest gradients", "The smallest gradients"]
    first = [float(said.split(" · ")[0].split()[-1].replace("\u202f", "")) for _, said in shown]
    assert first[0] == pytest.approx(norms[-1], rel=0.01)
    assert first[1] == pytest.approx(norms[0], rel=0.01)


def test_an_example_says_where_its_response_comes_from(opened: Opened) -> None:
    page = opened.page
    written = page.locator(".origin dt", has_text="sampling")
    card = page.locator("#extremes .card").filter(has=written).first
    card.locator("summary").first.click()
    origin = card.locator(".origin")
    assert origin.locator("dl").is_hidden()
    origin.locator("summary").click()
    names = origin.locator("dt").all_inner_texts()
    facts = dict(zip(names, origin.locator("dd").all_inner_texts(), strict=True))
    assert facts["written by"] == f"writer {SCRIPT}"
    assert {"server’s model", "sampling", "tokens", "cost", "time"} <= set(facts)
    assert facts["sampling"] == 'temperature 0.7, seed 3, at most 2048 tokens, with {"top_k": 20}'
    assert origin.locator("dl").is_visible()
    assert page.title() == "demo · gradpipe report"
    assert opened.complaints == []


def test_the_summary_of_writers_shows_shares_tokens_and_cost(opened: Opened) -> None:
    rows = opened.page.locator("#table-responses_by_writer tbody tr")
    shown: list[list[str]] = rows.evaluate_all(
        "all => all.map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert {row[2] for row in shown} == {f"writer {SCRIPT}", "the source"}
    [detailed] = [row for row in shown if row[1] == "detailed"]
    assert detailed[3] == "30"
    assert float(detailed[4]) == pytest.approx(22 / 30, rel=0.01)
    assert float(detailed[7]) == pytest.approx(0.001 * sum(range(1, 31)), rel=0.01)


def test_a_section_without_results_is_left_out(
    browser: Any, inputs: ReportInputs, tmp_path: Path
) -> None:
    bare = ReportInputs(
        inputs.curves, inputs.mad, inputs.rd, inputs.rows, inputs.unusable, inputs.provenance
    )
    opened = Opened(browser, build_report(bare, tmp_path / "report", images=False))
    sections = opened.page.eval_on_selector_all("section", "all => all.map((s) => s.id)")
    assert sections == [
        "overview",
        "findings",
        "curves",
        "ratio",
        "relevance",
        "mad",
        "knowledge",
        "run",
        "provenance",
    ]
    linked = opened.page.eval_on_selector_all("nav a", "all => all.map((a) => a.hash.slice(1))")
    # The overview is what one sees first.
    assert linked == sections[1:]
    assert opened.complaints == []
