"""What the report says of single responses: its tables' numbers, of statistics named in advance."""

import re

import polars as pl
import pytest

from gradpipe.report.prose.discrimination import auroc_notes, discrimination_notes
from gradpipe.report.report_data import REPORT_ADDED_SCHEMA, REPORT_DISCRIMINATION_SCHEMA

AUROCS = {
    ("loss", None): (0.8, 0.7, 0.88),
    ("nuclear_norm", "q"): (0.62, 0.5, 0.7),
    ("nuclear_norm", "v"): (0.651, 0.6, 0.7),
    ("effective_rank", "q"): (0.3, 0.2, 0.4),
    # The most extreme of all, but not named in advance.
    ("stable_rank", "q"): (0.97, 0.9, 1.0),
}


def aurocs(models: int = 1) -> pl.DataFrame:
    rows = [
        {
            "model": f"model {number}",
            "benchmark": "gsm8k",
            "style": "detailed",
            "first": "irrelevant",
            "second": "correct",
            "statistic": statistic,
            "projection": projection,
            "auroc": auroc,
            "auroc_low": low,
            "auroc_high": high,
        }
        for number in range(models)
        for (statistic, projection), (auroc, low, high) in AUROCS.items()
    ]
    missing = dict.fromkeys(REPORT_DISCRIMINATION_SCHEMA)
    return pl.DataFrame([missing | row for row in rows], schema=REPORT_DISCRIMINATION_SCHEMA)


def added(*gains: tuple[float, float, float] | str) -> pl.DataFrame:
    rows = []
    for number, gain in enumerate(gains):
        row = dict.fromkeys(REPORT_ADDED_SCHEMA) | {
            "model": f"model {number}",
            "benchmark": "gsm8k",
            "style": "detailed",
            "first": "irrelevant",
        }
        if isinstance(gain, str):
            row |= {"reason": gain}
        else:
            row |= {"baselines": 0.8, "both": 0.8 + gain[0]}
            row |= dict(zip(("added", "added_low", "added_high"), gain, strict=True))
        rows.append(row)
    return pl.DataFrame(rows, schema=REPORT_ADDED_SCHEMA)


def numbers(text: str) -> list[float]:
    return [float(value.replace("−", "-")) for value in re.findall(r"[−+]?\d+\.\d+", text)]


def test_a_note_has_the_aurocs_of_the_loss_and_of_statistics_named_in_advance() -> None:
    (note,) = discrimination_notes(aurocs(), added((0.03, -0.02, 0.08)))
    named = [0.8, 0.7, 0.88, 0.62, 0.65, 0.3, 0.2, 0.4]
    assert numbers(note) == [*named, 0.8, 0.83, 0.03, -0.02, 0.08]


@pytest.mark.parametrize(
    ("gain", "is_nothing"),
    [((0.03, -0.02, 0.08), True), ((0.03, 0.01, 0.05), False), ((-0.03, -0.05, -0.01), False)],
)
def test_a_gain_whose_interval_holds_zero_is_not_distinguished_from_nothing(
    gain: tuple[float, float, float], is_nothing: bool
) -> None:
    (note,) = discrimination_notes(aurocs(), added(gain))
    assert ("nothing" in note) == is_nothing


def test_over_several_cells_gains_are_counted() -> None:
    gains = [(0.03, 0.01, 0.05), (0.01, -0.02, 0.04), (0.05, 0.02, 0.08)]
    (note,) = discrimination_notes(aurocs(models=3), added(*gains))
    assert "over 3 cells" in note
    assert "above 0 in 2 and below 0 in 0 of 3 cells" in note
    assert 0.03 in numbers(note)


def test_too_few_items_are_said() -> None:
    (note,) = discrimination_notes(aurocs(), added("12 items; 16 are needed"))
    assert "12 items; 16 are needed" in note


def test_only_the_finding_on_relevance_says_the_auroc() -> None:
    notes = auroc_notes(aurocs())
    assert list(notes) == ["3a"]
    assert numbers(notes["3a"])[:2] == [0.8, 0.7]
    assert auroc_notes(aurocs().clear()) == {}
    assert discrimination_notes(aurocs().clear(), added()) == []
