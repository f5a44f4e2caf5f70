"""Whether two curves nearly coincide is decided layer by layer, never by their mean.

Errors are counted as in test_error_rates.py: the count that a test allows is exceeded at the
nominal rate once in a thousand.
"""

from collections.abc import Callable, Sequence
from math import log

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, t

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.inference.bootstrap import degrees_of_freedom
from gradpipe.claims.layers import LayerDecisions, LayerRatios, decide_layers
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.values import Array, CellValues
from gradpipe.claims.verdicts import judge

Make = Callable[..., CellValues]
Tabled = Callable[..., pl.DataFrame]

CORRECT, IRRELEVANT = ("none", "correct"), ("none", "irrelevant")
MARGIN = log(1.1)
#: As many items and layers as in the paper.
PAPER_ITEMS, PAPER_DEPTH = 500, 28
SEEDS = 200
RESAMPLES = 400
COINCIDE = Claim(
    claim="c",
    group="c",
    title="",
    statement="",
    source="",
    terms=(Term(1, *IRRELEVANT), Term(-1, *CORRECT)),
    test="within",
    margin=1.1,
    quantity="layers",
)


def curves(ratios: Sequence[float] | Array) -> dict[tuple[str, str], Array]:
    curve = 10 + np.random.default_rng(3).normal(size=len(ratios))
    return {CORRECT: curve, IRRELEVANT: curve * ratios}


def ratios_of(
    seed: int, true: Array, items: int, se: float, correlation: float = 0.8
) -> LayerRatios:
    """Log ratios of one projection as a study of this size would find them, with resamples."""
    draw = np.random.default_rng([seed, items])
    depth = len(true)
    one = draw.normal(size=(items, 1)) * np.sqrt(correlation)
    values = true + (one + draw.normal(size=(items, depth)) * np.sqrt(1 - correlation)) * (
        se * np.sqrt(items)
    )
    counts = draw.multinomial(items, np.full(items, 1 / items), size=RESAMPLES)
    return LayerRatios(values.mean(0)[None], (counts @ values / items)[:, None, :])


def decided(ratios: LayerRatios, items: int) -> LayerDecisions:
    of = np.full(len(ratios.value), items)
    return decide_layers(ratios, of, degrees_of_freedom(of), (-MARGIN, MARGIN))


def test_opposite_layers_do_not_cancel(cell: Make, table_of: Tabled) -> None:
    half = PAPER_DEPTH // 2
    planted = curves(np.repeat([2.0, 0.5], half))
    found = judge([table_of(cell(1, PAPER_ITEMS, planted))], [COINCIDE], resamples=RESAMPLES)
    assert set(found["verdict"]) == {"contradicted"}
    assert (found["low"] < 0.55).all()
    assert (found["high"] > 1.9).all()
    reasons = found["reason"].to_list()
    assert reasons[0] == "56 of 56 layers lie outside 0.909 to 1.1 (paired by item)"
    assert reasons[1:] == 2 * ["28 of 28 layers lie outside 0.909 to 1.1 (paired by item)"]


def test_a_single_layer_outside_is_enough_to_contradict(cell: Make, table_of: Tabled) -> None:
    planted = curves(np.where(np.arange(PAPER_DEPTH) == 9, 1.4, 1.0))
    found = judge([table_of(cell(1, PAPER_ITEMS, planted))], [COINCIDE], resamples=RESAMPLES)
    assert set(found["verdict"]) == {"contradicted"}
    assert found["reason"][1] == "1 of 28 layers lies outside 0.909 to 1.1 (paired by item)"
    assert found["effect"].to_list() == pytest.approx(3 * [1.4], rel=0.05)


def test_equal_curves_with_noise_nearly_coincide(cell: Make, table_of: Tabled) -> None:
    equal = curves(np.ones(PAPER_DEPTH))
    found = judge([table_of(cell(1, PAPER_ITEMS, equal))], [COINCIDE], resamples=RESAMPLES)
    assert set(found["verdict"]) == {"supported"}
    assert (found["low"] > 1 / 1.1).all()
    assert (found["high"] < 1.1).all()
    few = judge([table_of(cell(1, 8, equal))], [COINCIDE], resamples=RESAMPLES)
    assert set(few["verdict"]) == {"undecided"}
    assert few["reason"].str.contains("inconclusive").all()


def test_over_all_cells_opposite_cells_do_not_cancel(cell: Make, table_of: Tabled) -> None:
    tables = [
        table_of(cell(place, 100, curves(np.full(6, ratio)), benchmark=f"b{place}"))
        for place, ratio in enumerate((1.5, 1 / 1.5))
    ]
    equal = table_of(cell(9, PAPER_ITEMS, curves(np.ones(6)), benchmark="equal"))
    assert judge(tables, [COINCIDE], resamples=RESAMPLES)["verdict"][0] == "contradicted"
    mixed = judge([*tables, equal], [COINCIDE], resamples=RESAMPLES).row(0, named=True)
    assert mixed["verdict"] == "undecided"
    agreement = "2 of 6 cells support it; 4 of 6 cells contradict it"
    assert mixed["agreement"] == f"{agreement}; the 6 cells are worth 3 independent ones"


def test_layers_without_the_projection_do_not_count(cell: Make, table_of: Tabled) -> None:
    whole = table_of(cell(1, PAPER_ITEMS, curves([3.0, 1.0, 1.0, 1.0])))
    lacking = whole.filter((pl.col("projection") == "q") | (pl.col("layer") > 0))
    found = judge([lacking], [COINCIDE], resamples=RESAMPLES)
    by_projection = dict(found.filter(level="cell").select("projection", "verdict").rows())
    assert by_projection == {"q": "contradicted", "v": "supported"}


def test_a_layer_without_a_logarithm_leaves_its_projection_undefined(
    cell: Make, table_of: Tabled
) -> None:
    there = (pl.col("projection") == "q") & (pl.col("layer") == 1) & (pl.col("style") == "none")
    table = table_of(cell(1, 30, curves(np.ones(4)))).with_columns(
        pl.when(there).then(0.0).otherwise("nuclear_norm").alias("nuclear_norm")
    )
    found = judge([table], [COINCIDE], resamples=RESAMPLES).filter(level="cell", projection="q")
    assert found["verdict"].item() == "undecided"
    assert found["effect"].item() is None
    assert "undefined" in found["reason"].item()


def test_without_any_spread_each_side_is_certain() -> None:
    for value, verdict in ((0.0, (0, 1)), (MARGIN, (1, 1)), (-0.3, (1, 0))):
        value_at = np.array([[0.0, value]])
        found = decided(LayerRatios(value_at, np.broadcast_to(value_at, (20, 1, 2))), 20)
        assert (found.supported_p[0], found.contradicted_p[0]) == verdict


def test_one_layer_is_tested_as_a_t_test_does() -> None:
    true = np.array([0.2])
    ratios = ratios_of(1, true, 40, 0.045)
    found, se = decided(ratios, 40), ratios.resampled.std(0, ddof=1).item() * np.sqrt(40 / 39)
    distance = (ratios.value.item() - MARGIN) / se
    free = degrees_of_freedom(40).item()
    assert found.contradicted_p[0] == pytest.approx(2 * t.sf(distance, free), rel=0.2)
    assert found.supported_p[0] == pytest.approx(t.cdf(distance, free), rel=1e-6)
    assert found.low[0] == pytest.approx(ratios.value.item() - t.ppf(0.95, free) * se)


def test_very_small_p_values_are_not_limited_by_the_number_of_resamples() -> None:
    found = decided(ratios_of(1, np.full(20, 0.3), 200, 0.01), 200)
    assert 0 < found.contradicted_p[0] < 1e-9
    assert found.outside[0] == found.layers[0] == 20


@pytest.mark.parametrize(
    ("edge", "correlation"),
    [
        ("one", 0.9),
        ("alternating", 0.0),
        pytest.param("one", 0.0, marks=pytest.mark.slow),
        pytest.param("alternating", 0.9, marks=pytest.mark.slow),
    ],
)
def test_curves_at_the_edge_are_wrongly_supported_or_contradicted_at_the_nominal_rate(
    edge: str, correlation: float
) -> None:
    true = np.zeros(PAPER_DEPTH)
    places = slice(9, 10) if edge == "one" else slice(None)
    true[places] = MARGIN * (-1.0) ** np.arange(PAPER_DEPTH)[places]
    found = [decided(ratios_of(seed, true, 100, 0.02, correlation), 100) for seed in range(SEEDS)]
    supported = sum(bool(one.supported_p[0] < 0.05) for one in found)
    contradicted = sum(bool(one.contradicted_p[0] < 0.05) for one in found)
    limit = int(binom.ppf(0.999, SEEDS, 0.05))
    assert max(supported, contradicted) <= limit
    if edge == "one":
        # The test is exact where a single layer is at the edge.
        assert supported >= int(binom.ppf(0.001, SEEDS, 0.04))


def test_the_papers_claims_that_curves_coincide_are_about_each_layer() -> None:
    within = [claim for claim in PAPER_CLAIMS if claim.test == "within"]
    assert [claim.claim for claim in within] == ["3b", "6c", "6d", "6e", "6f"]
    assert {claim.quantity for claim in within} == {"layers"}
