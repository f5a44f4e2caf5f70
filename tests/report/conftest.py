"""Made-up results of a study, small enough to read and of the shape of real ones."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from gradpipe.report.report_data import ReportInputs
from tests.conftest import BROWSER
from tests.report.made_up import (
    BENCHMARKS,
    curves_of,
    mad_of,
    provenance_of,
    rd_of,
    rows_of,
    unusable_of,
)
from tests.report.made_up_examples import (
    alignment_of,
    details_of,
    examples_of,
    extremes_of,
    twins_of,
)
from tests.report.made_up_judged import claims_of, length_control_of, length_of, verdicts_of
from tests.report.made_up_responses import origins_of, responses_of


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ReportInputs]:
    """A factory: models, benchmarks (name to family), layers, examples a style, and words.

    ``reason`` is why rows are unusable, ``text`` stands in the texts of the extreme examples.
    """

    def make(
        models: tuple[str, ...] = ("demo",),
        benchmarks: dict[str, str] | None = None,
        layers: int = 30,
        examples: int = 12,
        reason: str = "the response was truncated away",
        text: str = "It is so.",
    ) -> ReportInputs:
        chosen = BENCHMARKS if benchmarks is None else benchmarks
        names = list(models)
        curves = curves_of(names, chosen, layers, examples)
        twins, single = twins_of(names), examples_of(names, chosen, examples)
        extremes = extremes_of(single, places=3, text=text)
        responses = responses_of(chosen, examples, text)
        return ReportInputs(
            curves=curves,
            mad=mad_of(curves),
            rd=rd_of(curves),
            rows=rows_of(curves),
            unusable=unusable_of(curves, reason),
            provenance=provenance_of(names, chosen),
            claims=claims_of(),
            verdicts=(verdicts := verdicts_of(names, chosen, twins, examples)),
            length_control=length_control_of(verdicts),
            length=length_of(names, chosen, examples),
            alignment=alignment_of(names, chosen, layers, examples),
            examples=single,
            extremes=extremes,
            details=details_of(single, layers, text=text),
            responses=responses,
            origins=origins_of(extremes, responses),
            twins=twins,
        )

    return make


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
