"""Two statistics compared by how well they separate high from low quality."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import mannwhitneyu

from gradpipe.claims.quality.claims import SEQUEL_CLAIMS
from gradpipe.claims.verdicts import judge
from tests.claims.made_up_quality import quality_table

S3 = [claim for claim in SEQUEL_CLAIMS if claim.claim == "S3"]
STATISTICS = ("effective_rank", "nuclear_norm")


def judged(low: np.ndarray, high: np.ndarray) -> dict[str, object]:
    """The verdict on log values [item, statistic] of the two sides."""
    tokens = {"quality_low": np.ones(len(low), int), "quality_high": np.ones(len(high), int)}
    made = {"quality_low": low, "quality_high": high}
    table = quality_table(made, tokens, statistics=STATISTICS)
    return judge(table, S3, resamples=500).filter(level="cell", projection="v").row(0, named=True)


def sample(seed: int, shift: tuple[float, float], items: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(0, 1, (items, 2)), draw.normal(shift, 1, (items, 2))


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_effect_is_the_ratio_of_areas_each_in_its_own_direction(direction: int) -> None:
    low, high = sample(0, (1.0, 0.5 * direction))
    areas = [
        mannwhitneyu(high[:, place], low[:, place]).statistic / (len(low) * len(high))
        for place in (0, 1)
    ]
    against = max(areas[1], 1 - areas[1])
    assert judged(low, high)["effect"] == pytest.approx(areas[0] / against)


def test_a_clear_advantage_is_supported_and_a_clear_disadvantage_contradicted() -> None:
    assert judged(*sample(1, (2.0, 0.1)))["verdict"] == "supported"
    assert judged(*sample(1, (0.1, 2.0)))["verdict"] == "contradicted"
    assert judged(*sample(1, (0.1, -2.0)))["verdict"] == "contradicted"


def test_statistics_that_separate_equally_are_undecided() -> None:
    draw = np.random.default_rng(2)
    low, high = draw.normal(0, 1, (80, 1)), draw.normal(1, 1, (80, 1))
    verdict = judged(low + draw.normal(0, 0.3, (80, 2)), high + draw.normal(0, 0.3, (80, 2)))
    assert verdict["verdict"] == "undecided"


def test_examples_without_one_of_the_statistics_are_excluded() -> None:
    low, high = sample(3, (1.0, 0.5))
    high[:5, 1] = np.inf
    verdict = judged(low, high)
    assert verdict["items"] == 55
    assert verdict["effect"] == pytest.approx(judged(low, high[5:])["effect"])


def test_a_table_without_the_other_statistic_has_no_verdict() -> None:
    tokens = dict.fromkeys(("quality_low", "quality_high"), np.ones(9, int))
    logs = dict.fromkeys(tokens, np.ones(9))
    table = quality_table(logs, tokens, statistics=("effective_rank",))
    assert judge(table, S3).equals(pl.DataFrame(schema=judge(table, S3).schema))
