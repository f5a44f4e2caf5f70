"""Ratios of two sets of examples whose sizes are skewed, as those of gradients are."""

import numpy as np
import pytest

from gradpipe.claims.ratios import ratio_of

RUNS, ITEMS, LAYERS = 150, 24, 8
SPREAD = 1.2


def skewed_side(rng: np.random.Generator) -> np.ndarray:
    """Items of log-normal size with the expectation 1, times one curve: [item, 1, layer]."""
    sizes = np.exp(SPREAD * rng.standard_normal((ITEMS, 1, 1)) - SPREAD**2 / 2)
    curve = 5 + 3 * np.sin(2.1 * np.arange(LAYERS))
    side: np.ndarray = sizes * curve * np.exp(0.2 * rng.standard_normal((ITEMS, 1, LAYERS)))
    return side


@pytest.mark.parametrize("paired", [True, False])
def test_skewed_items_make_few_false_differences(paired: bool) -> None:
    """As if normal, a mean of 24 such items is called different in 6 to 9 % of cases."""
    rng = np.random.default_rng(0)
    found = [ratio_of(skewed_side(rng), skewed_side(rng), paired, seed) for seed in range(RUNS)]
    decided = np.array([ratio.p < 0.05 for ratio in found])
    held = np.array([(ratio.low <= 1) & (ratio.high >= 1) for ratio in found])
    assert decided.shape == (RUNS, 2)
    assert (decided.mean(0) <= 0.05).all()
    assert (held.mean(0) >= 0.95).all()
