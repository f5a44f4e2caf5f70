"""The line about length of a finding: its figures are those of the table of controls."""

from typing import Any

import polars as pl
import pytest

from gradpipe.claims.schemas import LENGTH_CONTROL_SCHEMA
from gradpipe.report.prose.length_line import length_line, worst_survival

NOT_KNOWN: dict[str, Any] = dict.fromkeys(("effect", "low", "high", "items", "outcome")) | {
    "cells": 0
}


def row(control: str, *ratio: float, **changes: Any) -> dict[str, Any]:
    numbers = dict(zip(("effect", "low", "high"), ratio, strict=False))
    usual = {"claim": "1", "control": control, "items": 24, "cells": 8, "outcome": "agrees"}
    return usual | numbers | {"answer_share": None, "how": "as described"} | changes


def line(*rows: dict[str, Any], survives: str | None = "cannot be told") -> str:
    return length_line(pl.DataFrame(rows, schema=LENGTH_CONTROL_SCHEMA), survives)


def test_the_line_has_four_figures_with_intervals_and_the_word() -> None:
    text = line(
        row("measured", 10.2, 9.1, 11.4),
        row("matched", 3.1, 2.8, 3.5, answer_share=0.05, how="the answer is 2 to 7 % of the loss"),
        row("regression", **NOT_KNOWN, how="lengths do not overlap: detailed is longer"),
        row("summed_loss", 0.07, 0.06, 0.08, outcome="reversed"),
        row("per_sqrt_token", 0.9, 0.8, 1.0, outcome="undecided"),
    )
    assert text == (
        "Length: as measured 10 (9.1 to 11); "
        "at matched length 3.1 (2.8 to 3.5; the answer is 2 to 7 % of the loss); "
        "by regression: lengths do not overlap; "
        "on the summed loss 0.070 (0.060 to 0.080): reversed. "
        "Survives length control: cannot be told"
    )


def test_a_figure_of_some_cells_says_how_many() -> None:
    some = row("regression", 1.4, 0.9, 2.1, cells=3, outcome="undecided")
    text = line(row("measured", 2, 1.5, 2.5), some, survives="no")
    assert "by regression 1.4 (0.90 to 2.1; 3 of 8 cells): undecided. " in text


def test_figures_that_a_claim_cannot_have_are_left_out() -> None:
    text = line(
        row("measured", 2, 1.5, 2.5), row("matched", **NOT_KNOWN), row("summed_loss", **NOT_KNOWN)
    )
    assert text.startswith("Length: as measured 2.0 (1.5 to 2.5); at matched length: no such")
    assert "summed" not in text


def test_a_claim_that_was_not_measured_has_no_line() -> None:
    assert line(row("measured", **NOT_KNOWN)) == ""
    assert line(row("measured", 2, 1.5, 2.5), survives=None) == ""


@pytest.mark.parametrize(
    ("words", "worst"),
    [
        (["yes", "yes"], "yes"),
        (["yes", "cannot be told"], "cannot be told"),
        (["cannot be told", "no", None], "no"),
        (["no", "reversed"], "reversed"),
        ([None], None),
    ],
)
def test_the_word_of_several_claims_is_the_most_serious(words: list[str], worst: str) -> None:
    assert worst_survival(words) == worst
