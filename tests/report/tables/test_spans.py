"""The table of spans: in the report of a study that divides responses, and in no other."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.spans import (
    span_contrasts_table,
    spans_table,
    step_trends_table,
)
from gradpipe.report.tables.write import write_tables
from gradpipe.statistics.spans.contrasts import SPAN_CONTRAST_SCHEMA
from gradpipe.statistics.spans.curves import SPAN_SCHEMA
from gradpipe.statistics.spans.steps import STEP_TREND_SCHEMA

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
        8,
        tokens,
        1.5,
        mean,
        mean / 4,
        mean * 10,
        mean,
    )
    for span, tokens in (("think", 80.0), ("answer", 4.0))
    for p, mean in (("q", 2.0), ("v", 8.0))
]
SPANS = pl.DataFrame(LINES, schema=SPAN_SCHEMA, orient="row")


def test_a_span_is_one_row_with_its_projections_side_by_side() -> None:
    frame = spans_table(SPANS).frame.sort("tokens")
    assert frame.select("span", "examples", "usable", "tokens", "loss").rows() == [
        ("answer", 6, 8, 4.0, 1.5),
        ("think", 6, 8, 80.0, 1.5),
    ]
    assert frame.row(0, named=True) | {
        "mean_q": 2.0,
        "mad_v": 2.0,
        "own_mean_q": 20.0,
    } == frame.row(0, named=True)


def test_a_contrast_has_its_projections_and_the_loss_in_one_row() -> None:
    sides = ("none", "correct", "final_answer", "detailed", "wrong", "final_answer", "all")
    lines = [
        ("demo", "gsm8k", *sides, projection, name, ratio, ratio / 2, ratio * 2, 9, 2.0, 3.0)
        for projection, name, ratio in (
            ("all", "nuclear_norm", 4.0),
            ("q", "nuclear_norm", 5.0),
            (None, "loss", 3.0),
        )
    ]
    contrasts = pl.DataFrame(lines, schema=SPAN_CONTRAST_SCHEMA, orient="row")
    row = span_contrasts_table(contrasts).frame.row(0, named=True)
    assert row["span"] == "final_answer, none"
    assert row["against"] == "final_answer, detailed (wrong)"
    assert (row["ratio"], row["low"], row["high"]) == (4.0, 2.0, 8.0)
    assert (row["ratio_q"], row["loss_ratio"]) == (5.0, 3.0)


def test_a_trend_has_both_controls_in_one_row() -> None:
    lines = [
        (*CURVE, "all", "nuclear_norm", control, ratio, 0.1, 0.9, 9, 4.5, 1.5, 1.2, 1.0, 0.8, 0.5)
        for control, ratio in (("none", 0.3), ("length", 0.6))
    ]
    trends = pl.DataFrame(lines, schema=STEP_TREND_SCHEMA, orient="row")
    row = step_trends_table(trends).frame.row(0, named=True)
    assert (row["ratio_none"], row["ratio_length"], row["fifth_5"]) == (0.3, 0.6, 0.5)


def test_only_a_report_with_spans_has_the_table_and_its_section(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    for given, there in ((inputs, False), (replace(inputs, spans=SPANS), True)):
        folder = tmp_path / str(there)
        write_tables(given, folder)
        assert (folder / "spans.csv").exists() is there
        assert ('<section id="spans"' in render_page(given)) is there
