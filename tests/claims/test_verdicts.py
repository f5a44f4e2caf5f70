"""Verdicts from tables of statistics: which cells there are, and what is said of them."""

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.schemas import VERDICT_SCHEMA
from gradpipe.claims.values import CellValues
from gradpipe.claims.verdicts import judge
from gradpipe.errors import DataError, StudyError

Make = Callable[..., CellValues]
Tabled = Callable[..., pl.DataFrame]

NONE, DETAILED = ("none", "correct"), ("detailed", "correct")
DEPTH = 8
CURVE = 10 + np.random.default_rng(7).normal(size=DEPTH)
LARGER = {NONE: 3 * CURVE, DETAILED: CURVE}
EQUAL = {NONE: CURVE, DETAILED: CURVE}


def claim(*terms: Term, name: str = "c", **settings: object) -> Claim:
    terms = terms or (Term(1, "none"), Term(-1, "detailed"))
    return Claim(claim=name, group="c", title="", statement="", source="", terms=terms, **settings)  # type: ignore[arg-type]


def verdicts(tables: Sequence[pl.DataFrame | pl.LazyFrame], *claims: Claim) -> pl.DataFrame:
    return judge(tables, claims or [claim()], resamples=300)


def cells_of(found: pl.DataFrame) -> pl.DataFrame:
    return found.filter(level="cell")


def test_a_cell_is_a_model_a_benchmark_and_a_projection(cell: Make, table_of: Tabled) -> None:
    of = [("m2", "a"), ("m1", "b"), ("m1", "a")]
    tables = [table_of(cell(i, 12, LARGER, model=m, benchmark=b)) for i, (m, b) in enumerate(of)]
    found = verdicts(tables)
    assert found.schema == VERDICT_SCHEMA
    assert found["level"].to_list() == ["overall"] + 6 * ["cell"]
    assert cells_of(found).select("benchmark", "model", "projection").rows() == [
        (benchmark, model, projection)
        for benchmark, model in (("a", "m1"), ("a", "m2"), ("b", "m1"))
        for projection in "qv"
    ]
    assert found.row(0, named=True).items() >= {
        ("model", None),
        ("benchmark", None),
        ("projection", None),
        ("verdict", "supported"),
        ("items", 24),
    }
    assert set(found["verdict"]) == {"supported"}
    assert cells_of(found)["items"].to_list() == 6 * [12]
    assert found.select((pl.col("low") < 3) & (pl.col("high") > 3)).to_series().sum() >= 6
    assert found["reason"][0].endswith("of the mean over 6 cells lies above 1")
    worth = found["independent_cells"][0]
    assert 3 <= worth < 6
    assert found["agreement"].to_list() == [
        f"6 of 6 cells support it; the 6 cells are worth {worth:.1f} independent ones",
        *(6 * [None]),
    ]


def test_verdicts_do_not_depend_on_the_order_of_tables_or_on_other_claims(
    cell: Make, table_of: Tabled
) -> None:
    of = [("m1", "a"), ("m2", "a"), ("m1", "b")]
    tables = [table_of(cell(i, 10, EQUAL, model=m, benchmark=b)) for i, (m, b) in enumerate(of)]
    expected = verdicts(tables)
    for order in permutations(tables):
        lazy = [table.sample(fraction=1.0, shuffle=True, seed=1).lazy() for table in order]
        assert verdicts(lazy).equals(expected)
    other = claim(Term(1, "detailed"), Term(-1, "none"), name="other", quantity="mad")
    both = verdicts(tables, other, claim())
    of_all = ["p_study", "verdict_study"]
    assert both.filter(claim="c").drop(of_all).equals(expected.drop(of_all))
    again = judge(tables, [claim()], seed=1, resamples=300)
    assert not again.equals(expected)
    assert again["effect"].to_list() == expected["effect"].to_list()


def test_an_effect_is_the_ratio_of_what_tables_show(cell: Make, table_of: Tabled) -> None:
    of_cell = cell(1, 10, LARGER, noise=0.0)
    means = of_cell.values.mean(0)
    expected = np.exp(np.log(means[1] / means[0]).mean(-1))
    found = cells_of(verdicts([table_of(of_cell)]))
    np.testing.assert_allclose(found["effect"].to_numpy(), expected, rtol=1e-12)
    mads = np.abs(np.diff(means)).mean(-1)
    found = cells_of(verdicts([table_of(of_cell)], claim(quantity="mad")))
    np.testing.assert_allclose(found["effect"].to_numpy(), mads[1] / mads[0], rtol=0.01)


def test_the_other_way_round_a_claim_is_contradicted(cell: Make, table_of: Tabled) -> None:
    found = verdicts([table_of(cell(1, 12, LARGER))], claim(Term(1, "detailed"), Term(-1, "none")))
    assert set(found["verdict"]) == {"contradicted"}
    assert "lies below 1" in found["reason"][0]
    assert found["agreement"][0] == (
        "2 of 2 cells contradict it; the 2 cells are worth 1 independent one"
    )


@pytest.mark.parametrize(("items", "said"), [(1, "1 item,"), (7, "7 items,")])
def test_too_few_items_decide_nothing(cell: Make, table_of: Tabled, items: int, said: str) -> None:
    found = verdicts([table_of(cell(1, items, LARGER))])
    assert set(found["verdict"]) == {"undecided"}
    assert "8 items" in found["reason"][0]
    assert cells_of(found)["reason"].str.starts_with(said).all()
    assert found["p"].null_count() == found["p_adjusted"].null_count() == 3
    assert cells_of(found)["effect"].null_count() == 0
    assert cells_of(found)["low"].null_count() == (2 if items == 1 else 0)


def test_eight_items_can_decide(cell: Make, table_of: Tabled) -> None:
    found = verdicts([table_of(cell(1, 8, LARGER))])
    assert found["verdict"][0] == "supported"


def test_items_count_only_where_they_have_every_curve(cell: Make, table_of: Tabled) -> None:
    whole = table_of(cell(1, 20, LARGER))
    item = pl.col("item_id").str.slice(4).cast(pl.Int64)
    first = item < 10
    paired = whole.filter(first)
    leftovers = whole.filter(
        first | (pl.col("style") == "none") & (item < 15) | (pl.col("style") == "detailed")
    ).with_columns(
        # What has no counterpart would turn the claim round, were it used.
        pl.when(first)
        .then("nuclear_norm")
        .when(pl.col("style") == "none")
        .then(pl.lit(None))
        .otherwise(pl.col("nuclear_norm") * 1000)
        .alias("nuclear_norm")
    )
    found, expected = verdicts([leftovers]), verdicts([paired])
    for name in ("effect", "items", "verdict"):
        assert found[name].to_list() == expected[name].to_list(), name
    apart = whole.filter((pl.col("style") == "none") == first)
    assert cells_of(verdicts([apart]))["items"].to_list() == [0, 0]


def test_a_row_without_a_value_costs_its_projection_that_item(cell: Make, table_of: Tabled) -> None:
    there = (
        (pl.col("item_id") == "item0003")
        & (pl.col("style") == "none")
        & (pl.col("layer") == 2)
        & (pl.col("projection") == "q")
    )
    table = table_of(cell(1, 12, LARGER)).with_columns(
        pl.when(there).then(np.nan).otherwise("nuclear_norm").alias("nuclear_norm")
    )
    found = verdicts([table])
    assert cells_of(found)["items"].to_list() == [11, 12]
    assert set(found["verdict"]) == {"supported"}


def test_identical_values_are_certain_and_a_flat_curve_has_no_mad(
    cell: Make, table_of: Tabled
) -> None:
    def still(curves: dict[tuple[str, str], np.ndarray]) -> pl.DataFrame:
        return table_of(cell(1, 10, curves, noise=0.0, spread=0.0, shared=0.0))

    for quantity in ("mad", "mean"):
        larger = cells_of(verdicts([still(LARGER)], claim(quantity=quantity))).row(0, named=True)
        assert (larger["verdict"], larger["p"]) == ("supported", 0)
        assert larger["low"] == pytest.approx(larger["high"]) == pytest.approx(3)
        equal = cells_of(verdicts([still(EQUAL)], claim(quantity=quantity))).row(0, named=True)
        assert (equal["verdict"], equal["effect"], equal["p"]) == ("undecided", pytest.approx(1), 1)
    flat = {NONE: np.full(DEPTH, 2.0), DETAILED: CURVE}
    found = cells_of(verdicts([still(flat)], claim(quantity="mad")))
    assert found["verdict"].to_list() == 2 * ["undecided"]
    assert "undefined" in found["reason"][0]
    assert found["effect"].null_count() == 2


def test_a_curve_that_is_mostly_noise_decides_nothing(cell: Make, table_of: Tabled) -> None:
    curves = {NONE: np.full(DEPTH, 10.0), DETAILED: CURVE / 100}
    found = verdicts([table_of(cell(1, 10, curves, noise=0.001))], claim(quantity="mad"))
    noisy = {NONE: 5.0, DETAILED: 0.0001}
    settings = {"noise": noisy, "spread": 0.0, "shared": 0.0}
    noisy_found = verdicts([table_of(cell(1, 10, curves, **settings))], claim(quantity="mad"))
    for one in (found, noisy_found):
        assert set(one["verdict"]) == {"undecided"}
        assert one["reason"].str.contains("noise.*10 items|no cell can be judged").all()


def test_claims_without_their_styles_or_statistic_have_no_rows(
    cell: Make, table_of: Tabled
) -> None:
    table = table_of(cell(1, 12, LARGER))
    assert verdicts([table], claim(Term(1, "none"), Term(-1, "article"))).is_empty()
    assert verdicts([table], claim(statistic="effective_rank")).is_empty()
    assert verdicts([table], claim(benchmark="aqua")).is_empty()
    assert verdicts([]).schema == VERDICT_SCHEMA
    assert verdicts([table.clear()]).is_empty()
    assert judge([table], []).is_empty()
    aqua = table.with_columns(pl.lit("AQuA").alias("benchmark"))
    assert verdicts([table, aqua], claim(benchmark="aqua"))["benchmark"].to_list() == [
        None,
        "AQuA",
        "AQuA",
    ]


def test_two_benchmarks_in_one_table_are_refused(cell: Make, table_of: Tabled) -> None:
    table = table_of(cell(1, 12, LARGER))
    other = table.with_columns(pl.lit("other").alias("benchmark"))
    with pytest.raises(DataError, match="2 combinations"):
        verdicts([pl.concat([table, other])])


def test_cells_are_corrected_for_one_another(cell: Make, table_of: Tabled) -> None:
    curves = {NONE: 1.06 * CURVE, DETAILED: CURVE}
    tables = [table_of(cell(i, 24, curves, model=f"m{i:02}", spread=0.1)) for i in range(12)]
    found = cells_of(verdicts(tables))
    p, adjusted = found["p"].to_numpy(), found["p_adjusted"].to_numpy()
    assert adjusted.min() == pytest.approx(24 * p.min())
    assert (adjusted >= p).all()
    lost = found.filter(pl.col("p") < 0.05, pl.col("p_adjusted") > 0.05)
    assert lost.height > 0
    assert set(lost["verdict"]) == {"undecided"}
    assert lost["reason"].str.contains("above 1, but not significantly among 24 cells").all()
    assert (found["verdict"] == "supported").to_list() == (adjusted < 0.05).tolist()


def test_one_cell_that_contradicts_is_enough_to_leave_it_undecided(
    cell: Make, table_of: Tabled
) -> None:
    tables = [table_of(cell(i, 24, LARGER, model=f"m{i}")) for i in range(4)]
    other = {NONE: CURVE / 3, DETAILED: CURVE}
    found = verdicts([*tables, table_of(cell(9, 24, other, model="other", projections=("q",)))])
    assert found["verdict"][0] == "undecided"
    assert found["low"][0] > 1
    assert found["reason"][0].endswith("lies above 1, but not every cell agrees")
    assert found["agreement"][0].startswith(
        "8 of 9 cells support it; 1 of 9 cells contradicts it; the 9 cells are worth "
    )


def test_models_on_the_same_items_do_not_count_as_so_many_samples(
    cell: Make, table_of: Tabled
) -> None:
    one = table_of(cell(1, 24, LARGER, projections=("q",)))
    copies = [one.with_columns(pl.lit(f"m{i}").alias("model")) for i in range(5)]
    alone, together = verdicts([one]).row(0), verdicts(copies).row(0)
    width = VERDICT_SCHEMA.names().index("low")
    assert together[width] == pytest.approx(alone[width], rel=1e-9)
    apart = [one.with_columns(pl.lit(f"b{i}").alias("benchmark")) for i in range(5)]
    assert verdicts(apart)["low"][0] > alone[width]


def test_cells_that_cannot_be_judged_are_named_over_all(cell: Make, table_of: Tabled) -> None:
    tables = [
        table_of(cell(1, 12, LARGER)),
        table_of(cell(2, 5, LARGER, benchmark="small")),
    ]
    found = verdicts(tables)
    assert found["agreement"][0] == (
        "2 of 2 cells support it; the 2 cells are worth 1 independent one; 2 more cannot be judged"
    )
    assert found["items"][0] == 12


BASE_AND_TUNED = (
    Term(1, "none", role="tuned"),
    Term(-1, "detailed", role="tuned"),
    Term(-1, "none", role="base"),
    Term(1, "detailed", role="base"),
)


def test_base_and_tuned_models_are_compared_on_the_items_both_have(
    cell: Make, table_of: Tabled
) -> None:
    base = table_of(cell(1, 12, LARGER, model="base"))
    tuned = table_of(cell(2, 12, {NONE: 12 * CURVE, DETAILED: CURVE}, model="tuned")).filter(
        pl.col("item_id") != "item0000"
    )
    lonely = table_of(cell(3, 12, LARGER, model="lonely"))
    tuned_against_base = claim(*BASE_AND_TUNED)
    found = judge(
        [tuned, lonely, base],
        [tuned_against_base],
        model_pairs=[("base", "tuned"), ("lonely", "absent")],
        resamples=300,
    )
    assert set(found["verdict"]) == {"supported"}
    assert cells_of(found).select("model", "against_model").rows() == 2 * [("tuned", "base")]
    assert cells_of(found)["items"].to_list() == [11, 11]
    assert found["effect"][0] == pytest.approx(4, rel=0.5)
    turned = judge([tuned, base], [tuned_against_base], model_pairs=[("tuned", "base")])
    assert turned["verdict"][0] == "contradicted"
    assert judge([tuned, base], [tuned_against_base]).is_empty()


def test_the_papers_claims_are_judged_on_what_they_are_about(cell: Make, table_of: Tabled) -> None:
    levels = {"none": 40.0, "simplified": 4.0, "detailed": 1.0}
    curves = {
        (style, relevance): (1.5 if (style, relevance) == ("detailed", "irrelevant") else 1.0)
        * level
        * CURVE
        for style, level in levels.items()
        for relevance in ("correct", "irrelevant")
    }
    words = {
        (f"length_{length}", relevance): CURVE
        for length in (100, 500, 1000)
        for relevance in ("correct", "irrelevant")
    }
    # Tuning changes nothing here but how much more a model is affected by fast thinking.
    tuned = {key: (2 if key[0] == "none" else 1) * values for key, values in curves.items()}
    settings = {"spread": 0.1, "noise": 0.05}
    tables = [
        table_of(cell(place, 40, of, model=model, benchmark=benchmark, **settings))
        for place, (of, model, benchmark) in enumerate(
            [
                (curves, "m-7b", "aqua"),
                (tuned, "m-7b-it", "aqua"),
                (words, "m-7b", "wiki_popular"),
            ]
        )
    ]
    found = judge(tables, model_pairs=[("m-7b", "m-7b-it")], resamples=300)
    overall = dict(found.filter(level="overall").select("claim", "verdict").rows())
    expected = {claim.claim for claim in PAPER_CLAIMS} - {"6f"}
    # The styles differ in size alone, so apart from size none is more uneven.
    # They do so at every layer, early or late.
    equal = {"1d": "undecided", "1e": "undecided", "1f": "contradicted", "2b": "undecided"}
    assert overall == dict.fromkeys(expected, "supported") | equal


def test_one_table_of_many_cells_is_judged_as_its_cells_are(cell: Make, table_of: Tabled) -> None:
    names = [("m1", "a"), ("m2", "a"), ("m1", "b")]
    tables = [table_of(cell(i, 10, EQUAL, model=m, benchmark=b)) for i, (m, b) in enumerate(names)]
    expected = judge(tables, [claim()], resamples=300)
    whole = pl.concat(tables)
    for table in (whole, whole.lazy()):
        assert judge(table, [claim()], resamples=300).equals(expected)


def test_early_layers_are_compared_with_the_last_ones(cell: Make, table_of: Tabled) -> None:
    early = np.where(np.arange(DEPTH) < 3, 2.0, 1.2)
    table = table_of(cell(1, 24, {NONE: early * CURVE, DETAILED: CURVE}))
    text = "none > detailed on nuclear_norm in {} layers"
    names = [text.format(where) for where in ("early over last", "last over early", "early")]
    found = judge([table], names, resamples=300).filter(level="overall")
    assert found["verdict"].to_list() == ["supported", "contradicted", "supported"]
    assert found["effect"].to_list() == pytest.approx([2 / 1.2, 1.2 / 2, 2], rel=0.15)


def test_claims_may_be_given_as_text(cell: Make, table_of: Tabled) -> None:
    table = table_of(cell(1, 12, LARGER))
    found = judge(table, ["none > detailed on nuclear_norm", claim()], resamples=300)
    text, data = (found.filter(claim=name) for name in found["claim"].unique(maintain_order=True))
    assert text["claim"][0] == "none > detailed on nuclear_norm"
    assert text.drop("claim").equals(data.drop("claim"))
    with pytest.raises(StudyError, match="effective_rank"):
        judge(table, ["none > detailed on effective_rank"])


def test_a_curve_that_is_only_larger_is_not_more_uneven_apart_from_size(
    cell: Make, table_of: Tabled
) -> None:
    table = table_of(cell(1, 100, LARGER, noise=0.1))
    found = judge(
        [table],
        [f"none > detailed on {name}mad of nuclear_norm" for name in ("", "relative ", "log ")],
        resamples=300,
    ).filter(level="overall")
    assert found["verdict"].to_list() == ["supported", "undecided", "undecided"]
    assert found["effect"].to_list() == pytest.approx([3, 1, 1], rel=0.15)


def test_what_is_more_uneven_apart_from_size_is_found(cell: Make, table_of: Tabled) -> None:
    # None's curve is smaller, and twice as uneven for its size.
    uneven = {NONE: (10 + 2 * (CURVE - 10)) / 4, DETAILED: CURVE}
    table = table_of(cell(1, 100, uneven, noise=0.02))
    claims = [f"none > detailed on {name}mad of nuclear_norm" for name in ("", "relative ", "log ")]
    found = judge([table], claims, resamples=300).filter(level="overall")
    assert found["verdict"].to_list() == ["contradicted", "supported", "supported"]
