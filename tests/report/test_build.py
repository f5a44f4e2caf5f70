"""Building: the files, their sameness, and that a report is there whole or not at all."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from gradpipe.errors import WorkspaceError
from gradpipe.report import build
from gradpipe.report.build import build_report
from gradpipe.report.charts import images
from gradpipe.report.charts.images import file_names, static_charts
from gradpipe.report.charts.thumbnail import curve_thumbnail
from gradpipe.report.page.blocks import all_blocks, page_tables
from gradpipe.report.page.render import render_page, vega_bundle
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.write import all_tables
from gradpipe.system import atomic_folders

Make = Callable[..., ReportInputs]
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def small(make_inputs: Make) -> ReportInputs:
    return make_inputs(benchmarks={"mini_maths": "math", "mini_popular": "knowledge"}, layers=6)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_report_is_a_page_charts_and_tables(small: ReportInputs, tmp_path: Path) -> None:
    index = build_report(small, tmp_path / "report")
    names = set(files_in(tmp_path / "report"))
    assert index == tmp_path / "report" / "index.html"
    assert {f"tables/{name}.csv" for name in all_tables(small)} <= names
    charts = {name.split("/")[1] for name in names if name.startswith("charts/")}
    assert charts == {f"{name}.{kind}" for name in CHARTS for kind in ("svg", "png")}
    assert {name.split("/")[0] for name in names} == {"index.html", "charts", "tables"}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert index.stat().st_size < 5_000_000


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a large study: drawing every kind would take most of these tests' time."""
    monkeypatch.setattr(images, "MOST_CELLS", 0)


@pytest.mark.parametrize("images", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("few_images")
def test_the_same_results_give_the_same_bytes(
    images: bool, small: ReportInputs, tmp_path: Path
) -> None:
    build_report(small, tmp_path / "one", images=images)
    build_report(small, tmp_path / "two", images=images)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_a_second_build_replaces_all_of_the_first(
    small: ReportInputs, make_inputs: Make, tmp_path: Path
) -> None:
    build_report(small, tmp_path / "report")
    other = make_inputs(benchmarks={"gsm8k": "math"}, layers=6)
    build_report(other, tmp_path / "report", images=False)
    assert "gsm8k" in (tmp_path / "report" / "index.html").read_text()
    assert not (tmp_path / "report" / "charts").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("stop", ["write_tables", "render_page", "put_folder_in_place"])
def test_a_build_that_dies_leaves_the_old_report(
    small: ReportInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    build_report(small, tmp_path / "report", images=False)
    before = files_in(tmp_path / "report")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, stop, die)
    with pytest.raises(KeyboardInterrupt):
        build_report(small, tmp_path / "report", images=False)
    assert files_in(tmp_path / "report") == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_without_an_atomic_exchange_the_report_is_replaced_all_the_same(
    small: ReportInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_folders, "_exchanged", lambda *_: False)
    build_report(small, tmp_path / "report", images=False)
    build_report(small, tmp_path / "report", images=False)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_with_other_files_is_refused_and_kept(small: ReportInputs, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkspaceError, match=r"thesis\.tex"):
        build_report(small, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_study_without_usable_rows_still_gets_its_page(
    empty_inputs: ReportInputs, tmp_path: Path
) -> None:
    page = build_report(empty_inputs, tmp_path / "report").read_text()
    assert "No usable examples" in page
    assert "the response was truncated away" in page
    assert 'id="vega"' not in page


def test_markup_in_names_and_reasons_is_text(make_inputs: Make) -> None:
    inputs = make_inputs(benchmarks={SCRIPT: "math"}, layers=4, reason=f"</script>{SCRIPT}")
    page = render_page(inputs)
    assert SCRIPT not in page
    assert SCRIPT in unescape(page)


def test_data_in_the_page_contain_no_markup(small: ReportInputs) -> None:
    blocks = re.findall('<script type="text/plain" id="[^"]+">(.*?)</script>', render_page(small))
    assert len(blocks) > 20
    assert not any(set("<>&") & set(block) for block in blocks)


def test_only_the_pages_own_scripts_and_style_are_let_run(small: ReportInputs) -> None:
    page = render_page(small)
    policy = re.search('Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    allowed = unescape(policy[1])
    assert "unsafe" not in allowed
    assert allowed.startswith("default-src 'none'")
    found = re.search("<script>(.*?)</script>", page, re.S)
    style = re.search("<style>(.*?)</style>", page, re.S)
    assert found is not None
    assert style is not None
    for text in (found[1], style[1], vega_bundle()):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    assert not re.search(r'<[^>]*\s(style|on[a-z]+)="', page)


def test_results_that_are_not_finite_are_gaps_in_the_page(small: ReportInputs) -> None:
    broken = small.curves.with_columns(pl.lit(float("nan")).alias("mean"))
    tables = page_tables(all_tables(small))
    blocks = dict(all_blocks(replace(small, curves=broken), tables, {}))
    sound = dict(all_blocks(small, tables, {}))
    key = ("curves", "demo", "nuclear_norm")
    assert set(blocks) == set(sound)
    assert len(blocks[key]) < len(sound[key]) / 2


def test_chart_files_are_named_for_people_and_never_collide(make_inputs: Make) -> None:
    names = file_names(["org/Model-1", "org/model 1", "mini_maths", "数学"])
    assert names["mini_maths"] == "mini-maths"
    assert len(set(names.values())) == 4
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names.values())
    inputs = make_inputs(models=("a/b", "a b"), benchmarks={"c": "math"}, layers=4)
    charts = [name for name, _ in static_charts(inputs)]
    assert len(charts) == len(set(charts))
    assert len([name for name in charts if name.startswith(("curves", "relevance", "mad"))]) == 6


def test_the_thumbnail_is_a_small_picture_in_markdown(inputs: ReportInputs) -> None:
    markdown = curve_thumbnail(inputs.curves)
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,(.+)\)", markdown)
    assert found is not None
    assert len(markdown) < 20_000
    drawing = ElementTree.fromstring(base64.b64decode(found[1]))
    lines = drawing.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3 * 4


def test_the_thumbnail_draws_whatever_projections_there_are_up_to_four(
    inputs: ReportInputs,
) -> None:
    mlp = {"q": "down", "k": "up", "v": "gate"}
    others = inputs.curves.with_columns(pl.col("projection").replace(mlp))
    found = re.search("base64,(.+)\\)", curve_thumbnail(pl.concat([inputs.curves, others])))
    assert found is not None
    drawing = base64.b64decode(found[1]).decode()
    assert re.findall('font-weight="600">([a-z]+)<', drawing) == ["q", "k", "v", "o"]
    found = re.search("base64,(.+)\\)", curve_thumbnail(others))
    assert found is not None
    drawing = base64.b64decode(found[1]).decode()
    assert re.findall('font-weight="600">([a-z]+)<', drawing) == ["o", "gate", "up", "down"]


def test_the_thumbnail_of_a_deep_model_stays_small(make_inputs: Make) -> None:
    deep = make_inputs(benchmarks={"mini_popular": "knowledge"}, layers=126)
    assert len(curve_thumbnail(deep.curves)) < 20_000


def test_the_thumbnail_of_nothing_says_so(empty_inputs: ReportInputs) -> None:
    assert curve_thumbnail(empty_inputs.curves).startswith("No usable rows")


CELLS = ("demo--mini-maths", "demo--mini-popular")
OF_CURVES = ("curves", "ratio", "relevance", "irrelevant-over-correct", "rd")
OF_EXAMPLES = (
    "cosines-same-layer",
    "cosines-next-layer",
    "cosines-responses",
    "examples",
    "spectra",
)
CHARTS = {
    *(f"{kind}--{cell}--nuclear-norm" for kind in OF_CURVES for cell in CELLS),
    *(f"{kind}--{cell}" for kind in OF_EXAMPLES for cell in CELLS),
    *(
        f"verdicts--demo--{claim}"
        for claim in ("thought", "early", "relevance", "knowledge", "own-1")
    ),
    "length--demo--mini-maths",
    "mad--demo--nuclear-norm",
    "knowledge--demo--nuclear-norm",
}
