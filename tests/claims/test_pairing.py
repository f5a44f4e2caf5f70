"""Claims on relevance where irrelevant responses are the correct responses of other items."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim, Quantity, Term
from gradpipe.claims.effects import Effects, measure_effects
from gradpipe.claims.inference.bootstrap import MIN_ITEMS, degrees_of_freedom, standard_error
from gradpipe.claims.inference.decisions import decide
from gradpipe.claims.pairing import CHAIN_LENGTH, MIN_CYCLES, Pairing, chains_of, pairings
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.values import Array, CellValues, cell_values
from gradpipe.claims.verdicts import judge
from gradpipe.responses.derangement import pick_donors

Tabled = Callable[..., pl.DataFrame]

CORRECT, IRRELEVANT = ("detailed", "correct"), ("detailed", "irrelevant")
DEPTH = 6
CURVE = 10 + np.random.default_rng(3).normal(size=DEPTH)
PLANTED = 1.08


def apart(quantity: Quantity = "mean") -> Claim:
    """The ratio of irrelevant to correct detailed responses is above 1."""
    terms = (Term(1, *IRRELEVANT), Term(-1, *CORRECT))
    return Claim(
        claim="c", group="c", title="", statement="", source="", terms=terms, quantity=quantity
    )


def deranged(
    seed: int,
    items: int,
    planted: float = 1.0,
    instruction: float = 0.1,
    response: float = 0.3,
    model: str = "m",
) -> CellValues:
    """A cell with effects of instructions and responses on both projections (log standard sd).

    Each example has an error of its own, and each projection and layer another, small one.
    Irrelevant responses are by derangement, and ``planted`` times as large.
    """
    draw = np.random.default_rng(seed)
    lengths = draw.lognormal(5, 0.4, items).astype(int)
    texts = [f"{number:04}" + "x" * length for number, length in enumerate(lengths)]
    donors = pick_donors(texts, [str(number) for number in range(items)], [seed])
    own, text = draw.normal(0, instruction, items), draw.normal(0, response, items)
    logs = np.stack([own + text, own + text[donors]], axis=1) + draw.normal(0, 0.07, (items, 2))
    logs = logs[:, :, None, None] + draw.normal(0, 0.02, (items, 2, 2, DEPTH))
    names = tuple(f"item{place:04}" for place in range(items))
    return CellValues(
        model=model,
        benchmark="b",
        family="math",
        items=names,
        curves=(CORRECT, IRRELEVANT),
        projections=("q", "v"),
        layers=tuple(range(DEPTH)),
        values=np.exp(logs) * np.array([1.0, planted])[:, None, None] * CURVE,
        donors={"detailed": {names[item]: names[donor] for item, donor in enumerate(donors)}},
    )


def unpaired(cell: CellValues) -> CellValues:
    return replace(cell, donors={})


def effects_of(cell: CellValues, claim: Claim | None = None, resamples: int = 400) -> Effects:
    ((effects,),) = measure_effects(
        [claim or apart()], {("m", "nuclear_norm"): cell}, [], 0, resamples
    )
    return effects


@dataclass
class Share:
    """Shares of samples whose interval covers the planted ratio, and of those above 1."""

    covered: float
    found: float


def share(
    seeds: int, items: int, planted: float, paired: bool = True, instruction: float = 0.1
) -> Share:
    covered = found = 0
    for seed in range(seeds):
        cell = deranged(seed, items, planted, instruction)
        effects = effects_of(cell if paired else unpaired(cell))
        low, high = interval(effects)
        covered += int(low[0] <= np.log(planted) <= high[0])
        found += int(low[0] > 0)
    return Share(covered / seeds, found / seeds)


def interval(effects: Effects) -> tuple[Array, Array]:
    lower, upper = (
        (end.value, standard_error(end.resampled, effects.units))
        for end in (effects.lower, effects.upper)
    )
    decided = decide(lower, upper, effects.degrees_of_freedom, (0.0, np.inf))
    return decided.low, decided.high


def test_pairing_by_response_covers_the_truth_and_finds_more() -> None:
    by_response, by_item = share(150, 24, PLANTED), share(150, 24, PLANTED, paired=False)
    assert by_response.covered >= 0.9
    assert by_response.found >= 0.6
    assert by_item.covered == 1
    assert by_item.found <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("planted", [1.0, PLANTED])
@pytest.mark.parametrize("items", [24, 100])
@pytest.mark.parametrize("instruction", [0.0, 0.1, 0.2])
def test_an_interval_of_95_percent_covers_93_to_97(
    items: int, planted: float, instruction: float
) -> None:
    assert 0.93 <= share(1500, items, planted, instruction=instruction).covered <= 0.97


def test_the_effect_is_that_of_a_slow_loop_and_of_the_pairing_by_item() -> None:
    cell = deranged(1, 40, PLANTED)
    rows = {item: row for row, item in enumerate(cell.items)}
    pairs = [
        (cell.values[rows[asker], 1], cell.values[rows[str(donor)], 0])
        for asker, donor in cell.donors["detailed"].items()
    ]
    irrelevant, correct = (np.mean(side, axis=0) for side in zip(*pairs, strict=True))
    expected = (np.log(irrelevant) - np.log(correct)).mean(-1)
    by_response, by_item = effects_of(cell), effects_of(unpaired(cell))
    np.testing.assert_allclose(by_response.effect, expected, rtol=1e-9)
    np.testing.assert_allclose(by_item.effect, expected, rtol=1e-9)
    assert (by_response.pairing, by_item.pairing) == ("response", "item")


def test_the_standard_error_is_that_of_the_sums_over_chains() -> None:
    cell = deranged(1, 200, PLANTED)
    rows = {item: row for row, item in enumerate(cell.items)}
    donors = np.array([rows[str(donor)] for donor in cell.donors["detailed"].values()])
    means = cell.values.mean(0)
    moves = (cell.values / means).mean(-1)
    sums = []
    chains = chains_of(donors)
    assert len(chains) >= MIN_CYCLES
    for chain in chains:
        total = np.zeros(2)
        for row in chain:
            total += moves[donors.tolist().index(row), 1] - moves[row, 0]
        sums.append(total)
    expected = np.sqrt((np.array(sums) ** 2).sum(0)) / len(rows)
    effects = effects_of(cell, resamples=4000)
    np.testing.assert_allclose(
        standard_error(effects.lower.resampled, effects.units), expected, rtol=0.05
    )


donors_of = st.integers(1, 40).flatmap(
    lambda items: st.lists(st.integers(-1, items - 1), min_size=items, max_size=items)
)


@given(donors_of, st.sampled_from([None, 1, CHAIN_LENGTH]))
def test_chains_hold_every_row_once_and_follow_the_donors(
    donors: list[int], longest: int | None
) -> None:
    chains = chains_of(np.array(donors), longest)
    assert sorted(row for chain in chains for row in chain) == list(range(len(donors)))
    for chain in chains:
        assert len(chain) <= (longest or len(donors))
        assert [donors[row] for row in chain[:-1]] == chain[1:]


@given(st.permutations(range(30)), st.sampled_from([30, CHAIN_LENGTH]))
def test_short_cycles_stay_whole(donors: list[int], longest: int) -> None:
    chains = chains_of(np.array(donors), longest)
    closed = {row for chain in chains if donors[chain[-1]] == chain[0] for row in chain}
    for start in range(30):
        cycle = [start]
        while donors[cycle[-1]] != start:
            cycle.append(donors[cycle[-1]])
        assert (start in closed) == (len(cycle) <= longest)


@given(donors_of, st.integers(0, 99))
def test_values_are_arranged_as_by_a_slow_loop(donors: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(len(donors), 2, 1, 2))
    values[:: 1 + seed % 5] = np.nan
    pairing = Pairing(
        name="response",
        units=np.arange(len(donors)),
        donors={"detailed": np.array(donors)},
    )
    arranged = pairing.arrange(values, [CORRECT, IRRELEVANT])
    np.testing.assert_array_equal(arranged[:, 0], values[:, 0])
    for row in range(len(donors)):
        uses = [
            values[item, 1]
            for item, donor in enumerate(donors)
            if donor == row and np.isfinite(values[item, 1]).all()
        ]
        expected = np.mean(uses, axis=0) if uses else np.full((1, 2), np.nan)
        np.testing.assert_allclose(arranged[row, 1], expected)


def test_degrees_of_freedom_are_those_of_items_if_single_rows_are_resampled() -> None:
    complete: NDArray[np.bool_] = np.arange(12)[:, None] < [12, 7, 1, 0]
    single = Pairing(name="item", units=np.arange(12))
    units, _, free = single.independent(complete)
    assert units.tolist() == [12, 7, 1, 0]
    np.testing.assert_array_equal(free, degrees_of_freedom(units))
    pairs, _, free_of_pairs = Pairing(name="item", units=np.arange(12) // 2).independent(complete)
    assert pairs.tolist() == [6, 4, 1, 0]
    # Sizes 2, 2, 2, 1: 49 / 13 effective units of 7 rows.
    assert free_of_pairs[1] == pytest.approx((49 / 13 - 1) / (1 + 7 / 13))
    assert free_of_pairs[0] == pytest.approx(5 / 1.5)


def test_cycles_are_cut_only_if_there_are_too_few() -> None:
    def pairing(donors: list[int]) -> Pairing:
        items = [str(row) for row in range(len(donors))]
        cell = replace(
            deranged(1, 2),
            donors={"detailed": {item: str(donors[int(item)]) for item in items}},
        )
        (found,) = pairings([apart()], [cell], items)
        return found

    def cycles(count: int, length: int) -> list[int]:
        return [
            cycle * length + (row + 1) % length for cycle in range(count) for row in range(length)
        ]

    assert pairing(cycles(MIN_CYCLES, 6)).count == MIN_CYCLES
    assert pairing(cycles(MIN_CYCLES - 1, 6)).count == 2 * (MIN_CYCLES - 1)
    assert pairing(cycles(MIN_ITEMS, 2)).count == MIN_ITEMS
    assert pairing(cycles(MIN_ITEMS - 1, 2)).count == 2 * (MIN_ITEMS - 1)


@pytest.mark.parametrize(
    ("text", "paired"),
    [
        ("detailed irrelevant > detailed on nuclear_norm", True),
        ("detailed irrelevant > detailed on mad of nuclear_norm", True),
        ("detailed irrelevant > none on nuclear_norm", False),
        ("detailed irrelevant > none irrelevant on nuclear_norm", False),
        ("none > detailed on nuclear_norm", False),
        ("none irrelevant > none on nuclear_norm", False),
    ],
)
def test_irrelevant_responses_are_compared_with_the_same_texts_only(
    text: str, paired: bool
) -> None:
    cell = deranged(1, 20)
    (pairing,) = pairings([parse_claim(text, ["nuclear_norm"])], [cell], cell.items)
    assert (pairing.name == "response") == paired


def donor_changed(donors: dict[str, str | None], item: str, donor: str | None) -> CellValues:
    return replace(deranged(1, 20), donors={"detailed": donors | {item: donor}})


def test_one_response_without_a_donor_or_with_two_pairs_its_style_by_item() -> None:
    cell = deranged(1, 20)
    donors = dict(cell.donors["detailed"])
    first = next(iter(donors))
    others = [item for item in cell.items if item not in (first, donors[first])]
    for changed in (None, others[0]):
        other = donor_changed(donors, first, changed)
        (pairing,) = pairings([apart()], [cell, other], cell.items)
        assert pairing.name == "item"
    lacking = replace(cell, donors={"detailed": {k: v for k, v in donors.items() if k != first}})
    (pairing,) = pairings([apart()], [cell, lacking], cell.items)
    assert pairing.name == "response"


def with_donors(table: pl.DataFrame, cells: Sequence[CellValues]) -> pl.DataFrame:
    donors = [
        (cell.model, item, style, "irrelevant", donor)
        for cell in cells
        for style, by_item in cell.donors.items()
        for item, donor in by_item.items()
    ]
    names = ["model", "item_id", "style", "relevance"]
    frame = pl.DataFrame(donors, schema=[*names, "donor_item_id"], orient="row")
    return table.join(frame, on=names, how="left")


def test_donors_come_back_from_a_table(table_of: Tabled) -> None:
    cell = deranged(1, 12)
    table = table_of(cell)
    assert cell_values(with_donors(table, [cell]), "nuclear_norm").donors == cell.donors
    assert cell_values(table, "nuclear_norm").donors == {}
    unknown = table.with_columns(donor_item_id=pl.lit(None))
    assert set(cell_values(unknown, "nuclear_norm").donors["detailed"].values()) == {None}


def test_a_verdict_says_how_responses_were_paired(table_of: Tabled) -> None:
    cells = [deranged(1, 24, PLANTED), deranged(1, 24, PLANTED, model="n")]
    plain = pl.concat(table_of(cell) for cell in cells)
    other = plain.with_columns(pl.lit("other").alias("benchmark"))
    paired = with_donors(plain, cells)
    claims = ["detailed irrelevant > detailed on nuclear_norm"]
    by_item, by_response, mixed = (
        judge(table, claims, resamples=300)
        for table in (plain, paired, pl.concat([paired, other], how="diagonal"))
    )
    assert set(by_item["pairing"]) == {"item"}
    assert set(by_response["pairing"]) == {"response"}
    assert mixed["pairing"].to_list() == ["mixed", *4 * ["response"], *4 * ["item"]]
    for table, words in ((by_item, "by item"), (by_response, "by response")):
        assert table["reason"].str.ends_with(f"(paired {words})").all()
    np.testing.assert_allclose(by_item["effect"], by_response["effect"], rtol=1e-9)
    assert (by_response["high"] - by_response["low"] < by_item["high"] - by_item["low"]).all()
    unknown = plain.with_columns(donor_item_id=pl.lit(None, pl.String))
    assert judge(unknown, claims, resamples=300).equals(by_item)


def test_a_response_without_its_correct_use_is_left_out(table_of: Tabled) -> None:
    cell = deranged(1, 24)
    lost = pl.struct("item_id", "relevance") == pl.struct(
        item_id=pl.lit("item0003"), relevance=pl.lit("correct")
    )
    # The use of its text would decide the claim, were it used.
    of_lost = pl.col("donor_item_id") == "item0003"
    table = with_donors(table_of(cell), [cell]).filter(~lost)
    huge = table.with_columns(
        pl.when(of_lost)
        .then(pl.col("nuclear_norm") * 1000)
        .otherwise("nuclear_norm")
        .alias("nuclear_norm")
    )
    claims = ["detailed irrelevant > detailed on nuclear_norm"]
    found, expected = (judge(one, claims, resamples=300) for one in (huge, table))
    assert found.equals(expected)
    assert set(found["items"]) == {23}
