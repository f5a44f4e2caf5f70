"""The number of items that decides a claim, against the exact t-test and simulations."""

from math import log
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradpipe.claims.contrasts import Claim, ClaimTest, Quantity, Term
from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.claims.inference.power import MOST_ITEMS, items_needed
from gradpipe.claims.schemas import VERDICT_SCHEMA


def claim(test: ClaimTest, margin: float = 1.0, quantity: Quantity = "mean") -> Claim:
    terms = (Term(1, "none"), Term(-1, "detailed"))
    stated = {"claim": "c", "group": "c", "title": "t", "statement": "s", "source": "a"}
    return Claim(**stated, terms=terms, test=test, margin=margin, quantity=quantity)


def pilot(effect: float, spread: float, items: int = 20, error: float = 0.05) -> pl.DataFrame:
    """Verdicts on a claim whose log ratio has a standard error of ``spread`` / √items."""
    reach = stats.t.ppf(1 - error, items - 1) * spread / np.sqrt(items)
    row = {"claim": "c", "verdict": "undecided", "items": items, "effect": np.exp(effect)}
    row |= {"low": np.exp(effect - reach), "high": np.exp(effect + reach)}
    rows = [row | {"level": level} for level in ("overall", "cell")]
    return pl.DataFrame(
        [{name: row.get(name) for name in VERDICT_SCHEMA} for row in rows], schema=VERDICT_SCHEMA
    )


def needed(verdicts: pl.DataFrame, stated: Claim, **options: Any) -> dict[str, Any]:
    return items_needed(verdicts, [stated], **options).row(0, named=True)


def power_of_t_test(distance: float, spread: float, items: int) -> float:
    shift = distance / spread * np.sqrt(items)
    return float(stats.nct.sf(stats.t.ppf(0.975, items - 1), items - 1, shift))


@pytest.mark.parametrize("power", [0.8, 0.95])
@pytest.mark.parametrize(("effect", "spread"), [(0.1, 0.4), (0.3, 0.5), (-0.2, 0.6), (0.05, 1.0)])
def test_items_of_a_one_sided_claim_are_those_of_the_exact_t_test(
    effect: float, spread: float, power: float
) -> None:
    plan = needed(pilot(effect, spread, error=0.025), claim("greater"), power=power)
    exact = next(
        n for n in range(MIN_ITEMS, 10_000) if power_of_t_test(abs(effect), spread, n) >= power
    )
    assert plan["would_be"] == ("supported" if effect > 0 else "contradicted")
    assert plan["items_needed"] == pytest.approx(exact, rel=0.04, abs=1)


@pytest.mark.parametrize("effect", [0.0, 0.03, -0.05])
def test_items_of_an_equivalence_claim_have_the_wanted_power_in_a_simulation(effect: float) -> None:
    spread, margin = 0.3, log(1.1)
    plan = needed(pilot(effect, spread), claim("within", 1.1))
    items = plan["items_needed"]
    draws = np.random.default_rng(0).normal(effect, spread, (20_000, items))
    reach = stats.t.ppf(0.95, items - 1) * draws.std(1, ddof=1) / np.sqrt(items)
    supported = np.abs(draws.mean(1)) + reach < margin
    assert plan["would_be"] == "supported"
    assert supported.mean() == pytest.approx(0.8, abs=0.02)


def test_a_ratio_outside_of_the_margin_is_planned_to_be_contradicted() -> None:
    assert needed(pilot(0.4, 0.5), claim("within", 1.1))["would_be"] == "contradicted"
    assert needed(pilot(0.4, 0.5), claim("not_greater", 1.1))["would_be"] == "contradicted"
    assert needed(pilot(-0.4, 0.5), claim("not_greater", 1.1))["would_be"] == "supported"


def test_the_detectable_ratio_is_decided_with_the_wanted_power() -> None:
    plan = needed(pilot(0.01, 0.5, items=40, error=0.025), claim("greater"))
    assert power_of_t_test(log(plan["detectable"]), 0.5, 40) == pytest.approx(0.8, abs=0.01)


def test_a_pilot_of_too_few_items_says_how_many_are_required() -> None:
    few = pilot(0.3, 0.5, items=3).with_columns(effect=None, low=None, high=None)
    plan = needed(few, claim("greater"))
    assert (plan["items"], plan["items_needed"], plan["would_be"]) == (3, MIN_ITEMS, None)
    assert plan["reason"] is not None


def test_an_effect_at_the_border_needs_more_items_than_any_plan() -> None:
    plan = needed(pilot(log(1.1), 0.5), claim("within", 1.1))
    assert plan["items_needed"] is None
    assert plan["detectable"] > 1
    assert f"{MOST_ITEMS:,}" in plan["reason"]


def test_a_claim_about_each_layer_is_planned_by_its_farthest_layer() -> None:
    spread, items = 0.3, 20
    bound = stats.t.ppf(0.95, items - 1) * spread / np.sqrt(items)
    layers = pilot(0.02, spread, items).with_columns(
        low=np.exp(-0.04 - bound), high=np.exp(0.02 + bound)
    )
    plan = needed(layers, claim("within", 1.1, "layers"))
    assert (
        plan["items_needed"]
        == needed(pilot(0.02, spread, items), claim("within", 1.1))["items_needed"]
    )
