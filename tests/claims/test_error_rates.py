"""How often verdicts are wrong, and how often right, where the truth is known.

Every claim is decided at 5 %, both directions together: a true value on the border of its region
may be called supported in 2.5 % of samples, and contradicted in 2.5 %. An equivalence may be called
supported in 5 %. Each test counts over many
seeds; the count that it allows is exceeded at the nominal rate once in a thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from gradpipe.claims.contrasts import Claim, ClaimTest, Quantity, Term
from gradpipe.claims.effects import measure_effects
from gradpipe.claims.inference.bootstrap import standard_error
from gradpipe.claims.inference.decisions import decide
from gradpipe.claims.values import CellValues
from gradpipe.claims.verdicts import judge

Make = Callable[..., CellValues]

SEEDS = 200
RESAMPLES = 400
NOISY, STILL = ("none", "correct"), ("detailed", "correct")
DEPTH = 12
UNEVEN = 10 + np.random.default_rng(99).normal(size=DEPTH)
JUMP = np.where(np.arange(DEPTH) < DEPTH // 2, 10.0, 22.0)


def above_nominal(rate: float, tries: int = SEEDS) -> int:
    """The count of errors that is exceeded once in a thousand at this rate."""
    return int(binom.ppf(0.999, tries, rate))


def below_nominal(rate: float, tries: int = SEEDS) -> int:
    """The count of successes that is not reached once in a thousand at this rate."""
    return int(binom.ppf(0.001, tries, rate))


def claim(quantity: Quantity = "mad", test: ClaimTest = "greater", margin: float = 1.0) -> Claim:
    terms = (Term(1, "none"), Term(-1, "detailed"))
    return Claim(
        claim="c",
        group="c",
        title="",
        statement="",
        source="",
        terms=terms,
        test=test,
        margin=margin,
        quantity=quantity,
    )


@dataclass
class Counts:
    """Counts of samples by verdict, and of intervals that contain the true ratio."""

    supported: int = 0
    contradicted: int = 0
    covered: int = 0


def count(
    cell: Make,
    items: int,
    curves: Mapping[tuple[str, str], Sequence[float]],
    of: Claim,
    ratio: float = 1.0,
    seeds: int = SEEDS,
    **settings: object,
) -> Counts:
    """One projection's verdicts over seeds, by the functions that ``judge`` decides by."""
    counts = Counts()
    for seed in range(seeds):
        values = cell(seed, items, curves, **settings)
        ((effects,),) = measure_effects([of], {("m", of.statistic): values}, [], seed, RESAMPLES)
        least, most = (
            (end.value[:1], standard_error(end.resampled, effects.units)[:1])
            for end in (effects.lower, effects.upper)
        )
        found = decide(least, most, effects.degrees_of_freedom[:1], of.region)
        counts.supported += int(found.supported_p[0] < 0.05)
        counts.contradicted += int(found.contradicted_p[0] < 0.05)
        counts.covered += int(found.low[0] <= np.log(ratio) <= found.high[0])
    return counts


#: Sizes of items that are far from normal: log standard deviations, of one style only or of what
#: both styles of an item share.
SKEWED = {
    "one style": {"spread": {NOISY: 1.0, STILL: 0.3}, "shared": 0.3},
    "shared": {"spread": 0.3, "shared": 1.0},
    "one style, extreme": {"spread": {NOISY: 1.5, STILL: 0.3}, "shared": 0.3},
    "shared, extreme": {"spread": 0.3, "shared": 1.5},
}


def wrong_and_covered(
    cell: Make, items: int, quantity: Quantity, skewed: str, seeds: int
) -> tuple[int, int]:
    """Counts of verdicts on equal styles, which are all wrong, and of intervals with the truth."""
    curves = {NOISY: UNEVEN, STILL: UNEVEN}
    settings = SKEWED[skewed] | {"noise": 0.1}
    counts = count(cell, items, curves, claim(quantity), seeds=seeds, **settings)
    return counts.supported + counts.contradicted, counts.covered


@pytest.mark.parametrize("skewed", ["one style", "shared"])
def test_skewed_items_do_not_mislead(cell: Make, skewed: str) -> None:
    wrong, covered = wrong_and_covered(cell, 16, "mean", skewed, 150)
    assert wrong <= above_nominal(0.05, 150)
    assert covered >= below_nominal(0.95, 150)


@pytest.mark.slow
@pytest.mark.parametrize("skewed", SKEWED)
@pytest.mark.parametrize("items", [8, 16, 24, 50])
@pytest.mark.parametrize("quantity", ["mean", "mad"])
def test_skewed_items_of_any_number_do_not_mislead(
    cell: Make, items: int, quantity: Quantity, skewed: str
) -> None:
    wrong, covered = wrong_and_covered(cell, items, quantity, skewed, 1000)
    assert wrong <= above_nominal(0.05, 1000)
    assert covered >= below_nominal(0.95, 1000)


#: Small samples on every run; many items take four times as long.
ITEMS = [24, pytest.param(100, marks=pytest.mark.slow)]


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("quantity", ["mad", "mean"])
def test_two_equal_styles_are_told_apart_at_the_nominal_rate(
    cell: Make, items: int, quantity: Quantity
) -> None:
    counts = count(cell, items, {NOISY: UNEVEN, STILL: UNEVEN}, claim(quantity))
    assert counts.supported <= above_nominal(0.025)
    assert counts.contradicted <= above_nominal(0.025)
    assert counts.covered >= below_nominal(0.95)


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize(
    ("curve", "noise"),
    [
        pytest.param(UNEVEN, 2.0, marks=pytest.mark.slow),
        pytest.param(UNEVEN, 5.0, marks=pytest.mark.slow),
        (UNEVEN, 10.0),
        pytest.param(JUMP, 3.0, marks=pytest.mark.slow),
        (JUMP, 10.0),
    ],
)
def test_a_noisier_style_of_the_same_true_mad_is_not_found_to_be_more_uneven(
    cell: Make, items: int, curve: Sequence[float], noise: float
) -> None:
    settings = {"noise": {NOISY: noise, STILL: 0.1}, "spread": 0.05, "shared": 0.1}
    counts = count(cell, items, {NOISY: curve, STILL: curve}, claim(), **settings)
    assert counts.supported <= above_nominal(0.025)
    assert counts.covered >= below_nominal(0.95)


@pytest.mark.parametrize(
    ("items", "planted", "power"),
    [(24, 1.5, 0.9), pytest.param(100, 1.3, 0.9, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("quantity", ["mad", "mean"])
def test_planted_effects_are_found(
    cell: Make, items: int, planted: float, power: float, quantity: Quantity
) -> None:
    curves = {NOISY: UNEVEN * planted, STILL: UNEVEN}
    counts = count(cell, items, curves, claim(quantity), planted)
    assert counts.supported >= power * SEEDS
    assert counts.contradicted == 0
    assert counts.covered >= below_nominal(0.95)


#: On every run the truth at the margin, where errors are most frequent.
@pytest.mark.parametrize(
    ("true", "limit"),
    [
        (1.1, 0.05),
        pytest.param(1.0, None, marks=pytest.mark.slow),
        pytest.param(1.35, 0.001, marks=pytest.mark.slow),
    ],
)
def test_within_is_found_inside_the_margin_only(
    cell: Make, true: float, limit: float | None
) -> None:
    settings = {"spread": 0.15}
    counts = count(
        cell,
        100,
        {NOISY: UNEVEN * true, STILL: UNEVEN},
        claim("mean", "within", 1.1),
        true,
        **settings,
    )
    if limit is None:
        assert counts.supported >= 0.9 * SEEDS
        assert counts.contradicted == 0
    else:
        assert counts.supported <= above_nominal(limit)
    if true == 1.1:
        assert counts.contradicted <= above_nominal(0.025)
    if true > 1.3:
        assert counts.contradicted >= 0.9 * SEEDS


@pytest.mark.parametrize(
    "true",
    [1.1, pytest.param(0.9, marks=pytest.mark.slow), pytest.param(1.4, marks=pytest.mark.slow)],
)
def test_not_greater_is_found_below_the_margin_only(cell: Make, true: float) -> None:
    counts = count(
        cell,
        100,
        {NOISY: UNEVEN * true, STILL: UNEVEN},
        claim("mean", "not_greater", 1.1),
        true,
    )
    if true == 1.1:
        assert counts.supported <= above_nominal(0.05)
        assert counts.contradicted <= above_nominal(0.025)
    elif true < 1.1:
        assert counts.supported >= 0.8 * SEEDS
        assert counts.contradicted == 0
    else:
        assert counts.contradicted >= 0.9 * SEEDS
        assert counts.supported == 0


def verdicts_of_a_study(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame], seed: int, planted: float
) -> pl.DataFrame:
    """Three models on two benchmarks, two projections each: 12 cells of one claim."""
    tables = [
        table_of(
            cell(
                [seed, place],
                24,
                {NOISY: UNEVEN * planted, STILL: UNEVEN},
                model=f"model{place % 3}",
                benchmark=f"benchmark{place // 3}",
            )
        )
        for place in range(6)
    ]
    return judge(tables, [claim("mean")], seed=seed, resamples=RESAMPLES)


@pytest.mark.slow
def test_many_cells_together_are_wrong_at_the_nominal_rate(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame]
) -> None:
    any_cell = overall = covered = 0
    for seed in range(SEEDS):
        verdicts = verdicts_of_a_study(cell, table_of, seed, 1.0)
        wrong = verdicts.filter(pl.col("verdict") != "undecided")
        whole = verdicts.row(0, named=True)
        any_cell += "cell" in wrong["level"]
        overall += whole["verdict"] != "undecided"
        covered += whole["low"] <= 1 <= whole["high"]
    assert verdicts.height == 13
    assert any_cell <= above_nominal(0.05)
    assert overall <= above_nominal(0.05)
    assert covered >= below_nominal(0.95)


def test_what_holds_in_every_cell_is_found_over_all(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame]
) -> None:
    tries = 20
    found = [verdicts_of_a_study(cell, table_of, seed, 1.5)["verdict"][0] for seed in range(tries)]
    assert found.count("supported") >= 0.9 * tries


def study_of_a_planted_truth(
    cell: Make,
    table_of: Callable[[CellValues], pl.DataFrame],
    seed: int,
    items: int = 24,
    models: int = 3,
    benchmarks: int = 2,
) -> pl.DataFrame:
    """Verdicts on equal styles: projections correlate, tails are heavy, models share their items.

    The sizes of an item are the same in all models, and sizes of its responses correlate at 0.8.
    Styles differ in how skewed their sizes are, as responses of very unequal lengths do.
    """
    tables = []
    for benchmark in range(benchmarks):
        draw = np.random.default_rng([seed, benchmark])
        shared = draw.normal(size=(items, 2, 1, 1))
        for model in range(models):
            own = draw.normal(size=(items, 2, 1, 1))
            sizes = np.array([0.4, 0.9])[:, None, None]
            logs = sizes * (np.sqrt(0.8) * shared + np.sqrt(0.2) * own) - sizes**2 / 2
            made = cell(
                [seed, benchmark, model],
                items,
                {NOISY: UNEVEN, STILL: UNEVEN},
                noise=0.0,
                spread=0.1,
                shared=0.3,
                model=f"m{model}",
                benchmark=f"b{benchmark}",
                projections=("q", "k", "v", "o"),
            )
            tables.append(table_of(replace(made, values=made.values * np.exp(logs))))
    claims = [replace(claim("mean"), claim="size", group="size")]
    claims += [replace(claim("mad"), claim="mad", group="mad")]
    claims += [replace(claim("relative_mad"), claim="relative", group="mad")]
    return judge(tables, claims, seed=seed, resamples=200)


def planted_truths(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame], tries: int, **settings: int
) -> None:
    wrong = wrong_study = 0
    covered = {"size": 0, "mad": 0}
    for seed in range(tries):
        overall = study_of_a_planted_truth(cell, table_of, seed, **settings).filter(level="overall")
        rows = {row["claim"]: row for row in overall.iter_rows(named=True)}
        wrong += rows["size"]["verdict"] != "undecided"
        wrong_study += (overall["verdict_study"] != "undecided").any()
        for name in covered:
            covered[name] += rows[name]["low"] <= 1 <= rows[name]["high"]
        # 16 or more cells on two sets of items, of which the projections move together.
        assert rows["size"]["independent_cells"] < 6
    assert wrong <= above_nominal(0.05, tries)
    assert wrong_study <= above_nominal(0.05, tries)
    assert min(covered.values()) >= below_nominal(0.95, tries)


def test_a_study_of_planted_truths_is_not_misled(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame]
) -> None:
    planted_truths(cell, table_of, 12, models=2)


@pytest.mark.slow
@pytest.mark.parametrize("items", [16, 50])
def test_studies_of_planted_truths_are_wrong_at_the_nominal_rate(
    cell: Make, table_of: Callable[[CellValues], pl.DataFrame], items: int
) -> None:
    planted_truths(cell, table_of, 300, items=items)
