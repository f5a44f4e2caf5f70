"""What a reader takes away: a link to what is shown, files from a page alone, paper, dark mode."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.write import write_tables
from tests.report.browsing import Opened

CHOSEN = "#mad&model=demo-base&statistic=effective_rank&off=none&scale=curves"


@pytest.fixture(scope="module")
def inputs(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    kinds = {"mini_maths": "math"}
    return make_inputs(models=("demo", "demo-base"), benchmarks=kinds, layers=4, examples=3)


@pytest.fixture(scope="module")
def index(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page without the folders beside it."""
    index = tmp_path_factory.mktemp("alone") / "index.html"
    index.write_text(render_page(inputs), encoding="utf-8", newline="\n")
    return index


@pytest.fixture(scope="module")
def opened(browser: Any, index: Path) -> Opened:
    return Opened(browser, index, address=CHOSEN)


def downloaded(opened: Opened, selector: str) -> tuple[str, bytes]:
    with opened.page.expect_download() as download:
        opened.page.locator(selector).first.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_link_shows_the_choices_of_its_sender(opened: Opened) -> None:
    page = opened.page
    assert page.inner_text('[data-shown="curves"]').startswith("effective rank · demo-base")
    assert not page.is_checked(".styles input[value=none]")
    assert page.is_checked('[data-log="curves"]')
    assert len(opened.lines("curves")) == 2 * 4
    assert abs(page.locator("#mad").bounding_box()["y"]) < 300


def test_a_choice_is_written_into_the_address_and_a_section_keeps_it(opened: Opened) -> None:
    page = opened.page
    opened.after("headline", lambda: page.select_option("#pick-projection", "v"))
    assert "projection=v" in page.url
    page.click('nav a[href="#curves"]')
    page.wait_for_function("location.hash.startsWith('#curves&')")
    assert "projection=v" in page.url
    opened.after("headline", lambda: page.select_option("#pick-projection", "q"))
    assert "projection" not in page.url


def test_a_page_alone_gives_its_tables_with_all_digits(
    opened: Opened, inputs: ReportInputs, tmp_path: Path
) -> None:
    write_tables(inputs, tmp_path)
    name, content = downloaded(opened, 'a[href="tables/mad.csv"]')
    assert name == "mad.csv"
    assert content == (tmp_path / "mad.csv").read_bytes()
    linked = opened.page.locator('a[href^="tables/"]').evaluate_all(
        "links => links.map((a) => a.getAttribute('href').slice(7))"
    )
    assert set(linked) <= {key[1] for key in held(opened)}


def held(opened: Opened) -> list[list[str]]:
    """The keys of the files inside the page, of its script's index."""
    archive = zipfile.ZipFile(io.BytesIO(downloaded(opened, "#save-all")[1]))
    return [name.split("/") for name in archive.namelist() if name.startswith("tables/")]


def test_a_charts_rows_are_those_that_it_shows(opened: Opened) -> None:
    name, content = downloaded(opened, '[data-rows="curves"]')
    assert re.match(r"curves-effective-rank-demo-base.*\.csv", name)
    rows = pl.read_csv(content)
    assert set(rows["style"]) == {"simplified", "detailed"}
    assert rows.height == 2 * 4 * 4


def test_everything_is_one_archive(opened: Opened) -> None:
    name, content = downloaded(opened, "#save-all")
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert name == "demo.zip"
    assert archive.testzip() is None
    charts = opened.page.locator(".chart").count()
    assert sum(one.startswith("charts/") for one in archive.namelist()) == charts
    assert archive.read("study.yaml").startswith(b"name: demo")


def test_a_click_on_a_dot_shows_its_example(opened: Opened) -> None:
    page = opened.page
    opened.after("sizes", lambda: page.select_option("#pick-x_axis", "loss"))
    assert "by loss" in page.inner_text('[data-shown="sizes"]')
    dot = page.locator("#chart-sizes .mark-symbol path").first
    dot.scroll_into_view_if_needed()
    dot.click(force=True)
    page.wait_for_selector("#clicked-example .card[open]")
    assert re.search(r"item \d+", page.inner_text("#clicked-example summary"))
    assert page.inner_text("#clicked-example pre >> nth=0").startswith("Question ")


def test_an_example_shows_its_texts_curves_and_token_losses_and_can_be_linked(
    browser: Any, index: Path, inputs: ReportInputs
) -> None:
    of_model = inputs.details.filter(model="demo-base")
    kept = of_model.filter(style="detailed", relevance="correct", index=1).row(0, named=True)
    address = "#model=demo-base&example=1,detailed,correct"
    page = (opened := Opened(browser, index, address=address)).page
    assert page.inner_text("#clicked-example pre >> nth=1") == kept["response"]
    assert "item 1, detailed, correct" in page.inner_text('[data-shown="example_curves"]')
    assert len(opened.lines("example_curves")) == 2 * 4
    content = downloaded(opened, '[data-rows="token_losses"]')[1]
    drawn = pl.read_csv(content)
    assert drawn["token"].to_list() == list(range(1, len(kept["token_losses"]) + 1))
    assert drawn["loss"].to_list() == pytest.approx(kept["token_losses"], rel=0.01)
    # By the keyboard, from the table; this row's losses were not stored.
    row = page.locator("#table-examples tbody tr", has_text="simplified").first
    opened.after("token_losses", lambda: row.locator("button").press("Enter"))
    assert "simplified" in page.inner_text("#clicked-example summary")
    assert page.inner_text("#chart-token_losses").startswith("Not kept for this row")
    assert page.url.endswith("example=0%2Csimplified%2Ccorrect")
    assert opened.complaints == []
    page.close()


def test_on_paper_every_chart_is_there_in_light_colors(browser: Any, index: Path) -> None:
    opened = Opened(browser, index, scheme="dark")
    page = opened.page
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(18, 22, 28)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    sizes = page.locator(".chart svg").evaluate_all(
        "all => all.map((s) => [s.getBoundingClientRect().height, s.checkVisibility()])"
    )
    assert len(sizes) == page.locator(".chart").count() > 10
    assert all(height > 40 and visible for height, visible in sizes)
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert opened.complaints == []
    page.close()
