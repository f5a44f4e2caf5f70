"""Several samples per item: each is an example of its own, although they share the item's index."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.samples import sample_id
from gradpipe.report.page.index import example_headings
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from tests.report.browsing import Opened


def with_second_samples(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, and a second sample of each with another response."""
    ids = [f"{index:020x}" for index in rows["index"]]
    first = rows.with_columns(item_id=pl.Series(ids, dtype=pl.String))
    second = first.with_columns(
        *([pl.lit("second sample").alias("response")] if "response" in rows.columns else []),
        item_id=pl.Series([sample_id(item, 1) for item in ids], dtype=pl.String),
    )
    return pl.concat([first, second]).sort("index", "item_id", maintain_order=True)


@pytest.fixture(scope="module")
def sampled(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    inputs = make_inputs(benchmarks={"mini_maths": "math"}, layers=3, examples=3)
    return replace(
        inputs,
        examples=with_second_samples(inputs.examples),
        details=with_second_samples(inputs.details),
    )


def test_the_table_of_examples_names_samples_only_where_items_have_several(
    sampled: ReportInputs, inputs: ReportInputs
) -> None:
    assert "sample" in example_headings(sampled.examples)
    assert "sample" not in example_headings(inputs.examples)


def test_the_sample_that_was_chosen_is_the_one_that_is_shown_and_linked(
    browser: Any, sampled: ReportInputs, tmp_path: Path
) -> None:
    index = tmp_path / "index.html"
    index.write_text(render_page(sampled), encoding="utf-8", newline="\n")
    page = Opened(browser, index, address="#example=1,detailed,correct,1").page
    assert page.inner_text("#clicked-example summary").startswith("•\nitem 1, sample 1, detailed")
    assert page.inner_text("#clicked-example pre >> nth=1") == "second sample"
    page.locator("#table-examples tbody tr", has_text="simplified").nth(1).locator("button").click()
    page.wait_for_function("location.hash.endsWith('example=0%2Csimplified%2Ccorrect%2C1')")
    page.close()
    # A link without a sample is one of the item itself.
    page = Opened(browser, index, address="#example=1,detailed,correct").page
    assert page.inner_text("#clicked-example summary").startswith("•\nitem 1, detailed")
    assert page.inner_text("#clicked-example pre >> nth=1").startswith("Because of 1, detailed")
    page.close()
