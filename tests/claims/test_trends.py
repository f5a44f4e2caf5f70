"""Trends of claims along checkpoints, on made-up statistics of which the truth is known."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradpipe.claims.trends import MIN_STEPS, claims_in_time, trends
from gradpipe.claims.verdicts import judge
from gradpipe.errors import DataError
from tests.claims.conftest import make_cell, make_table

STEPS = (100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0)
CLAIM = "none > detailed on nuclear_norm"


def run(ratios: Sequence[float], items: int = 24, seed: int = 0) -> pl.DataFrame:
    """One checkpoint per ratio of ``none`` to ``detailed``, all on the same items."""
    return pl.concat(
        make_table(
            make_cell(
                [seed, step],
                items,
                {
                    ("none", "correct"): [4 * ratio, 2 * ratio, 3 * ratio],
                    ("detailed", "correct"): [4.0, 2.0, 3.0],
                },
                noise=0.05,
                spread=0.2,
                model=f"step{step}",
            )
        )
        for step, ratio in enumerate(ratios)
    )


def steps(count: int = len(STEPS)) -> dict[str, float]:
    return {f"step{place}": STEPS[place] for place in range(count)}


def test_a_rising_ratio_has_a_trend_and_emerges_where_it_passes_one() -> None:
    ratios = [0.4, 0.5, 0.6, 1.8, 2.0, 3.0]
    row = trends(run(ratios), steps(), [CLAIM]).row(0, named=True)
    assert row["steps"] == len(STEPS)
    assert row["first"] == pytest.approx(0.4, rel=0.15)
    assert row["last"] == pytest.approx(3.0, rel=0.15)
    slope = np.polyfit(STEPS, np.log(ratios), 1)[0] * (STEPS[-1] - STEPS[0])
    assert row["change_low"] < np.exp(slope) < row["change_high"]
    assert row["p"] < 0.001
    assert row["tau"] == pytest.approx(1.0)
    assert row["tau_p"] == pytest.approx(stats.kendalltau(STEPS, ratios).pvalue)
    assert row["emerges"] == row["emerges_low"] == row["emerges_high"] == 800.0


def test_a_claim_that_never_holds_does_not_emerge() -> None:
    row = trends(run([0.4, 0.5, 0.4, 0.5, 0.4, 0.5]), steps(), [CLAIM]).row(0, named=True)
    assert row["emerges"] is None
    assert row["emerges_high"] is None


def test_the_step_of_emergence_is_uncertain_near_the_border() -> None:
    row = trends(run([0.5, 0.8, 0.99, 1.01, 1.5, 2.0]), steps(), [CLAIM]).row(0, named=True)
    assert row["emerges_low"] < row["emerges_high"]


def test_without_a_trend_the_interval_of_the_change_holds_one() -> None:
    rows = [
        trends(run([2.0] * 5, seed=seed), steps(5), [CLAIM], resamples=300) for seed in range(40)
    ]
    found = pl.concat(rows)
    covered = found.filter((pl.col("change_low") < 1) & (pl.col("change_high") > 1)).height
    # Of 40 with a probability of 0.95, 33 or fewer have a probability of 0.001.
    assert covered > 33
    assert found.filter(pl.col("tau_p") < 0.05).height <= 7


def test_models_without_a_step_and_claims_on_layers_or_pairs_are_left_out() -> None:
    table = run([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert trends(table, steps(MIN_STEPS), [CLAIM])["steps"].to_list() == [MIN_STEPS]
    assert trends(table, steps(MIN_STEPS - 1), [CLAIM]).is_empty()
    claims = set(trends(table, steps())["claim"])
    assert "2" in claims
    assert not {"3b", "4", "5", "6c"} & claims


def test_steps_of_unknown_models_are_an_error() -> None:
    with pytest.raises(DataError, match="other-1"):
        trends(run([1.0, 2.0]), {"other-1": 1.0, "other-2": 2.0}, [CLAIM])


def test_each_checkpoint_has_the_verdict_that_it_has_alone() -> None:
    table = run([0.4, 0.6, 1.0, 1.8])
    by_step = claims_in_time(table, steps(4), [CLAIM]).by_step
    assert by_step["step"].to_list() == list(STEPS[:4])
    for place, row in enumerate(by_step.to_dicts()):
        alone = judge(table.filter(model=f"step{place}"), [CLAIM]).row(0, named=True)
        assert row["verdict"] == alone["verdict"]
        for name in ("effect", "low", "high", "p"):
            assert row[name] == pytest.approx(alone[name], rel=1e-9), name
