"""The note on length: mean lengths, and ratios of styles with controls for length."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from syrupy.assertion import SnapshotAssertion

from gradpipe.claims.schemas import LENGTH_SCHEMA
from gradpipe.report.prose.length_note import length_note
from gradpipe.report.report_data import ReportInputs

Row = dict[str, Any]


def comparison(control: str, effects: Sequence[float | None], **changes: Any) -> list[Row]:
    """Rows that compare none with detailed: one effect per projection."""
    cell = {"model": "demo", "benchmark": "aqua", "family": "math", "how": "as described"}
    compared = {"style": "none", "against": "detailed", "quantity": "mean", "control": control}
    return [
        cell
        | compared
        | {"projection": projection, "effect": effect, "low": effect, "high": effect, "items": 24}
        | {"answer_share": None}
        | changes
        for projection, effect in zip("qkvo", effects, strict=False)
    ]


def note_on(inputs: ReportInputs, rows: list[Row]) -> str:
    note = length_note(replace(inputs, length=pl.DataFrame(rows, schema=LENGTH_SCHEMA)))
    assert note is not None
    return note


def ratios_in(note: str) -> list[float]:
    """The numbers of times in a note, in their order."""
    return [float(number) for number in re.findall(r"([\d.]+) times as", note)]


def test_the_note_has_the_mean_length_of_each_style(inputs: ReportInputs) -> None:
    note = note_on(inputs, [])
    assert re.findall(r"(\d+) tokens \((\w+)\)", note) == [
        ("3", "none"),
        ("48", "simplified"),
        ("131", "detailed"),
    ]
    assert ratios_in(note) == []


def test_the_note_has_the_geometric_mean_of_each_control(
    inputs: ReportInputs, snapshot: SnapshotAssertion
) -> None:
    rows = [
        *comparison("none", [2.0, 8.0]),
        *comparison("matched", [1.0, 4.0]),
        *comparison("regression", [1.0, 1.21]),
        *comparison("none", [99.0, 99.0], quantity="mad"),
        *comparison("none", [99.0], against="simplified"),
    ]
    note = note_on(inputs, rows)
    assert ratios_in(note) == [4.0, 2.0, 1.1]
    assert "2 cells" in note
    assert note == snapshot


def test_a_control_of_some_cells_is_compared_in_these(inputs: ReportInputs) -> None:
    note = note_on(
        inputs, [*comparison("none", [2.0, 8.0]), *comparison("matched", [1.5, float("nan")])]
    )
    assert ratios_in(note) == [4.0, 1.5, 2.0]
    assert "1 cell that has this control" in note


def test_padding_and_missing_overlap_are_in_the_note(inputs: ReportInputs) -> None:
    apart = "lengths do not overlap: detailed is longer in every item"
    rows = [
        *comparison("none", [2.0, 8.0]),
        *comparison("matched", [1.5, 1.5], answer_share=0.05),
        *comparison("regression", [None, None], how=apart),
    ]
    note = note_on(inputs, rows)
    assert "there is no regression" in note
    assert "5% are the answer's" in note
    assert "mostly one of the padding" in note
    padded_little = [*comparison("none", [2.0]), *comparison("matched", [1.5], answer_share=0.8)]
    assert "mostly one of the answer" in note_on(inputs, padded_little)


def test_one_style_needs_no_note(inputs: ReportInputs) -> None:
    assert length_note(replace(inputs, rows=inputs.rows.filter(pl.col("style") == "none"))) is None


def test_results_without_usable_examples_need_no_note(empty_inputs: ReportInputs) -> None:
    assert length_note(empty_inputs) is None
