"""The report of the paper's whole grid: the size of its page, and the time to open it.

The results are made up (``tests.report.made_up_grid``): ten models, thirteen benchmarks, every
statistic. The browser is a headless Chromium on this machine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from bench.settings import Say, Settings
from gradpipe.errors import DataError

CASE = "paper's grid"
_FIRST, _ALL = ".chart[data-drawn]", "html[data-ready=yes]"


def measure_page(settings: Settings, say: Say) -> pl.DataFrame:
    """One row per round: seconds to write the page, its bytes, and seconds to open it.

    ``first_chart`` and ``all_drawn`` are seconds from the request until the first and the last
    chart is drawn. ``images`` is the number of chart files, which are drawn once. Raises DataError
    if there is no browser.
    """
    from gradpipe.report.charts.images import write_images
    from gradpipe.report.page.render import render_page
    from tests.report.made_up_grid import paper_grid

    say("making up the results")
    inputs = paper_grid()
    with tempfile.TemporaryDirectory() as folder:
        say("writing the page")
        started = time.perf_counter()
        page = Path(folder) / "index.html"
        page.write_text(render_page(inputs), encoding="utf-8", newline="\n")
        written = time.perf_counter() - started
        say("opening the page")
        opened = _opened(page, settings.rounds)
        say("drawing the chart files")
        started = time.perf_counter()
        files = write_images(inputs, Path(folder) / "charts")
        drawn = time.perf_counter() - started
        same = {
            "write_seconds": written,
            "page_bytes": page.stat().st_size,
            "images": len(files),
            "image_seconds": drawn,
            "image_bytes": sum(file.stat().st_size for file in files),
        }
    return pl.DataFrame([{"case": CASE, **same, **times} for times in opened])


def summarize_page(rounds: pl.DataFrame) -> pl.DataFrame:
    """One row: the medians over the rounds."""
    return rounds.group_by("case").agg(pl.exclude("round").median())


def _opened(page: Path, rounds: int) -> list[dict[str, Any]]:
    from playwright.sync_api import sync_playwright

    from tests.conftest import BROWSER

    if BROWSER is None:
        raise DataError("There is no browser to open the page with: install chromium.")
    times = []
    with sync_playwright() as driver:
        for turn in range(1, rounds + 1):
            # A new browser per round, so that nothing is compiled or cached.
            browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            view = browser.new_page(viewport={"width": 1280, "height": 900})
            started = time.perf_counter()
            view.goto(page.as_uri())
            view.wait_for_selector(_FIRST)
            first = time.perf_counter() - started
            view.wait_for_selector(_ALL)
            drawn = time.perf_counter() - started
            times.append({"round": turn, "first_chart": first, "all_drawn": drawn})
            browser.close()
    return times
