"""The table of spans: in the report of a study that divides responses, and in no other."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.spans import spans_table
from gradpipe.report.tables.write import write_tables
from gradpipe.statistics.spans import SPAN_SCHEMA

CURVE = ("demo", "gsm8k", "thinking", "correct")
LINES = [
    (
        "demo",
        "gsm8k",
        "thinking",
        "correct",
        span,
        p,
        "nuclear_norm",
        6,
        tokens,
        1.5,
        mean,
        mean / 4,
    )
    for span, tokens in (("think", 80.0), ("answer", 4.0))
    for p, mean in (("q", 2.0), ("v", 8.0))
]
SPANS = pl.DataFrame(LINES, schema=SPAN_SCHEMA, orient="row")


def test_a_span_is_one_row_with_its_projections_side_by_side() -> None:
    frame = spans_table(SPANS).frame.sort("tokens")
    assert frame.select("span", "examples", "tokens", "loss").rows() == [
        ("answer", 6, 4.0, 1.5),
        ("think", 6, 80.0, 1.5),
    ]
    assert frame.row(0, named=True) | {"mean_q": 2.0, "mad_v": 2.0} == frame.row(0, named=True)


def test_only_a_report_with_spans_has_the_table_and_its_section(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    for given, there in ((inputs, False), (replace(inputs, spans=SPANS), True)):
        folder = tmp_path / str(there)
        write_tables(given, folder)
        assert (folder / "spans.csv").exists() is there
        assert ('<section id="spans"' in render_page(given)) is there
