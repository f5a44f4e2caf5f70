"""Made-up results of a study, small enough to read and of the shape of real ones."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from gradpipe.report.report_data import ReportInputs
from tests.conftest import BROWSER
from tests.report.made_up_study import made_up_study


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ReportInputs]:
    """`made_up_study`, by default one model on four benchmarks."""
    return made_up_study


@pytest.fixture(scope="session")
def inputs(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    """One model on four benchmarks, 30 layers, 12 examples a style."""
    return make_inputs()


@pytest.fixture(scope="session")
def empty_inputs(inputs: ReportInputs) -> ReportInputs:
    """A study of which no row could be used."""
    return ReportInputs(
        curves=inputs.curves.clear(),
        mad=inputs.mad.clear(),
        rd=inputs.rd.clear(),
        rows=inputs.rows.with_columns(pl.col("examples") * 0, unusable=pl.lit(12, dtype=pl.Int64)),
        unusable=inputs.unusable,
        provenance=inputs.provenance,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()
