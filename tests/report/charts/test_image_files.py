"""Image files: drawn by several processes, as one would draw them, and stopped with the block."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import altair as alt
import psutil
import pytest
import vl_convert

from gradpipe.errors import WorkspaceError
from gradpipe.report.charts import image_files
from gradpipe.report.charts.image_files import drawing
from gradpipe.report.charts.images import static_charts
from gradpipe.report.page.charts import page_charts
from gradpipe.report.report_data import ReportInputs

BAR = {
    "data": {"values": [{"a": 1, "b": 2}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
}


@pytest.fixture(autouse=True)
def a_process_per_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LEAST_CHARTS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def specified(folder: Path, **charts: dict[str, Any]) -> list[Path]:
    paths = [folder / f"{name}.vl.json" for name in charts]
    for path, chart in zip(paths, charts.values(), strict=True):
        path.write_text(json.dumps(chart))
    return paths


def test_files_are_those_that_one_process_draws(tmp_path: Path) -> None:
    charts = {name: {**BAR, "title": name} for name in ("one", "two", "three")}
    with drawing(specified(tmp_path, **charts)):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{ending}" for name in charts for ending in ("svg", "png")
    }
    for name, chart in charts.items():
        svg = vl_convert.vegalite_to_svg(json.dumps(chart))
        assert (tmp_path / f"{name}.svg").read_text() == svg
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_that_cannot_be_drawn_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(WorkspaceError, match="could not be drawn"),
        drawing(specified(tmp_path, bad={"mark": {"type": 1}})),
    ):
        pass


def test_no_process_outlives_a_block_that_fails(tmp_path: Path) -> None:
    before = set(psutil.Process().children())

    def interrupted() -> None:
        assert len(set(psutil.Process().children()) - before) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), drawing(specified(tmp_path, one=BAR, two=BAR)):
        interrupted()
    assert set(psutil.Process().children()) == before


def test_charts_that_altair_does_not_check_are_valid(
    make_inputs: Callable[..., ReportInputs],
) -> None:
    inputs = make_inputs(benchmarks={"mini_maths": "math", "mini_popular": "knowledge"}, layers=2)
    images = {name.split("--")[0]: chart for name, chart in static_charts(inputs)}
    figures = [chart.for_page() for chart in page_charts(inputs).values()]
    page = {figure["id"]: figure[figure["start"]] for figure in figures}
    assert len(images) > 10
    assert len(page) > 10
    for chart in (*images.values(), *page.values()):
        alt.TopLevelSpec.validate(chart)
