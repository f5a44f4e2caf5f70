"""Quality and length: what is due to length does not pass for quality, and the reverse."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linear_sum_assignment

from gradpipe.claims.length.matched_items import match_lengths
from gradpipe.claims.quality.claims import SEQUEL_CLAIMS
from gradpipe.claims.verdicts import judge
from tests.claims.made_up_quality import quality_table, sizes_and_lengths

S1 = [claim for claim in SEQUEL_CLAIMS if claim.claim.startswith("S1")]


def cells(table: pl.DataFrame, resamples: int = 500) -> dict[str, dict[str, object]]:
    verdicts = judge(table, S1, resamples=resamples).filter(level="cell", projection="q")
    return {row["claim"]: row for row in verdicts.to_dicts()}


@pytest.mark.parametrize("seed", range(5))
def test_as_many_pairs_are_matched_as_an_optimal_assignment_has(seed: int) -> None:
    draw = np.random.default_rng(seed)
    one, other = draw.normal(0, 1, 17), draw.normal(0.5, 1, 12)
    one[3] = np.nan
    first, second = match_lengths(one, other, 0.1)
    near = np.abs(one[:, None] - other[None, :]) <= 0.1
    best = near[linear_sum_assignment(near, maximize=True)].sum()
    assert len(first) == best
    assert near[first, second].all()
    assert len(set(first)) == len(set(second)) == len(first)


def test_the_regression_is_that_of_least_squares_inside_the_overlap() -> None:
    logs, tokens = sizes_and_lengths(5, effect=-0.3, slope=-0.5, low=(4.5, 0.6), high=(5.2, 0.6))
    low, high = tokens["quality_low"], tokens["quality_high"]
    start, end = max(low.min(), high.min()), min(low.max(), high.max())
    kept = {style: (t >= start) & (t <= end) for style, t in tokens.items()}
    y = np.concatenate([logs[style][kept[style]] for style in tokens])
    x = np.log(np.concatenate([tokens[style][kept[style]] for style in tokens]))
    is_low = np.repeat([1.0, 0.0], [kept[style].sum() for style in tokens])
    design = np.stack([np.ones_like(x), is_low, x], axis=1)
    expected = np.linalg.lstsq(design, y, rcond=None)[0][1]
    cell = cells(quality_table(logs, tokens))["S1-regression"]
    assert np.log(cell["effect"]) == pytest.approx(expected)  # type: ignore[call-overload]
    assert cell["items"] == min(mask.sum() for mask in kept.values())


def test_a_difference_that_is_only_length_disappears_at_equal_length() -> None:
    made = sizes_and_lengths(
        6, slope=-0.6, low=(4.4, 0.6), high=(5.2, 0.6), items=(120, 120), noise=0.3
    )
    verdicts = {claim: cell["verdict"] for claim, cell in cells(quality_table(*made)).items()}
    assert verdicts == {"S1": "supported", "S1-matched": "undecided", "S1-regression": "undecided"}


def test_a_difference_of_quality_remains_at_equal_length() -> None:
    made = sizes_and_lengths(7, effect=-0.5, slope=0.6, low=(4.5, 0.5), high=(5.1, 0.5))
    found = cells(quality_table(*made))
    for control in ("S1-matched", "S1-regression"):
        assert found[control]["verdict"] == "supported"
        low, high = found[control]["low"], found[control]["high"]
        assert low < np.exp(0.5) < high  # type: ignore[operator]


def test_lengths_that_do_not_overlap_decide_nothing() -> None:
    made = sizes_and_lengths(8, effect=-0.5, low=(2.0, 0.2), high=(6.0, 0.2))
    found = cells(quality_table(*made))
    assert found["S1"]["verdict"] == "supported"
    for control in ("S1-matched", "S1-regression"):
        assert (found[control]["verdict"], found[control]["items"]) == ("undecided", 0)
        assert found[control]["effect"] is None


def test_intervals_at_equal_length_cover_the_truth() -> None:
    covered = {"S1-matched": 0, "S1-regression": 0}
    for seed in range(40):
        made = sizes_and_lengths(
            100 + seed, effect=-0.2, slope=-0.5, low=(4.7, 0.5), high=(5.2, 0.5), items=(30, 30)
        )
        found = cells(quality_table(*made), 150)
        for control in covered:
            ends = found[control]["low"], found[control]["high"]
            covered[control] += ends[0] <= np.exp(0.2) <= ends[1]  # type: ignore[operator]
    assert min(covered.values()) >= 34  # below 34 of 40 has a chance of 0.4 % at a coverage of 95 %
