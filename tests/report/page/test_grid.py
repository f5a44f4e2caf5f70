"""The paper's whole grid: its page stays small, draws, and follows its pickers."""

from pathlib import Path
from typing import Any

import pytest

from gradpipe.report.charts.images import static_charts
from gradpipe.report.charts.kinds import ALL_KINDS
from gradpipe.report.page.blocks import ENDS, kept_examples, kept_extremes, shown_examples
from gradpipe.report.page.detail_blocks import MOST_DETAIL_LETTERS, detail_blocks, kept_details
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened
from tests.report.made_up_grid import BENCHMARKS, LAYERS, paper_grid

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def grid() -> ReportInputs:
    return paper_grid()


@pytest.fixture(scope="module")
def opened(browser: Any, grid: ReportInputs, tmp_path_factory: Any) -> Opened:
    page = render_page(grid)
    path = tmp_path_factory.mktemp("grid") / "index.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return Opened(browser, path)


def test_the_page_of_the_whole_grid_is_under_five_megabytes(opened: Opened) -> None:
    path = Path(opened.page.url.removeprefix("file://"))
    assert path.stat().st_size < 5 * MEGABYTE


def test_every_model_benchmark_and_statistic_can_be_picked_and_is_drawn(opened: Opened) -> None:
    page = opened.page
    for picker, values in (("model", list(LAYERS)), ("benchmark", list(BENCHMARKS))):
        offered = page.locator(f"#pick-{picker} option").evaluate_all("o => o.map(x => x.value)")
        assert sorted(offered) == sorted(values)
    for picker, value in (
        ("model", "gemma-2-9b"),
        ("benchmark", "strategyqa"),
        ("statistic", "tail_exponent"),
    ):
        opened.after("curves", lambda p=picker, v=value: page.select_option(f"#pick-{p}", v))
    caption = page.inner_text('[data-shown="curves"]')
    assert caption == "power law of the tail: exponent · gemma-2-9b · strategyqa · 500 examples"
    assert len(opened.lines("curves")) == 3 * 4
    assert page.locator("#table-mad tbody tr").count() == (9 * 3 + 4 * 3) * 2
    # There is no room for this statistic's AUROCs by layer, so those of the first one stay.
    opened.after("aurocs", lambda: page.select_option("#pick-statistic", "tail_distance"))
    shown = page.inner_text('[data-shown="aurocs"]')
    assert shown == "AUROC of nuclear norm · gemma-2-9b · strategyqa"
    # One per layer of each projection and style, and the bar of the legend.
    assert page.locator("#chart-aurocs .mark-rect path").count() == 3 * 4 * 42 + 1
    assert opened.complaints == []


def test_of_many_models_some_are_drawn_and_the_others_are_named(opened: Opened) -> None:
    page = opened.page
    boxes = page.locator("[data-boxes=models] input")
    names = boxes.evaluate_all("all => all.map((b) => b.value)")
    assert sorted(names) == sorted(LAYERS)
    note = page.inner_text('[data-left-out="models"]')
    assert note.startswith("6 of 10 are drawn. Left out: ")
    assert all((name in note) == (place >= 6) for place, name in enumerate(names))
    assert len(opened.lines("models")) == 6 * 4
    opened.after("models", lambda: boxes.nth(6).check())
    assert len(opened.lines("models")) == 7 * 4
    assert f"drawn={names[6]}" in page.url
    opened.after("models", lambda: boxes.nth(6).uncheck())
    assert "drawn" not in page.url


def test_details_take_a_part_of_the_page_and_are_of_every_cell(grid: ReportInputs) -> None:
    kept = kept_details(grid.details)
    blocks = list(detail_blocks(shown_examples(grid.examples, kept), kept))
    assert sum(len(text) for _, text in blocks) < 1.25 * MOST_DETAIL_LETTERS
    cells = ["model", "benchmark"]
    assert kept.select(cells).n_unique() == grid.details.select(cells).n_unique()


def test_of_many_examples_the_ends_are_kept(grid: ReportInputs) -> None:
    kept = kept_examples(grid.examples)
    for (model, benchmark), part in kept.group_by("model", "benchmark"):
        every = grid.examples.filter(model=model, benchmark=benchmark)["nuclear_norm"].sort()
        ends = [*every.head(ENDS), *every.tail(ENDS)]
        assert part["nuclear_norm"].sort().to_list() == ends


def test_of_few_examples_all_are_kept(inputs: ReportInputs) -> None:
    assert kept_examples(inputs.examples).equals(inputs.examples)
    assert kept_extremes(inputs.extremes).equals(inputs.extremes)


def test_texts_of_many_extremes_are_cut_and_say_so(grid: ReportInputs) -> None:
    kept = kept_extremes(grid.extremes)
    assert kept["place"].max() == 2
    lengths = kept["response"].str.len_chars()
    assert lengths.max() <= MEGABYTE / (2 * kept.height) + 2
    assert kept["response"].str.ends_with(" …").all()


def test_a_large_study_gets_the_files_of_few_kinds(grid: ReportInputs) -> None:
    model = grid.curves["model"][0]
    small = ReportInputs(
        curves=grid.curves.filter(model=model),
        mad=grid.mad.filter(model=model),
        rd=grid.rd.filter(model=model),
        rows=grid.rows.filter(model=model),
        unusable=grid.unusable,
        provenance=grid.provenance,
        verdicts=grid.verdicts,
        claims=grid.claims,
        alignment=grid.alignment.filter(model=model),
    )
    kinds = [name.split("--")[0] for name, _ in static_charts(small)]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "curves": 13,
        "ratio": 13,
        "relevance": 13,
        "mad": 1,
        "knowledge": 1,
    }
    assert set(kinds) <= {kind.name for kind in ALL_KINDS if kind.in_large_studies}
