"""All claims of the sequel together, on tables of one study."""

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.length.control import compares_styles
from gradpipe.claims.quality.claims import ALL_SEQUEL_CLAIMS
from gradpipe.claims.quality.verdicts import ALL_INSTRUCTION, SequelJudgment, judge_sequel
from tests.claims.made_up_quality import quality_table, sizes_and_lengths

STATISTICS = ("nuclear_norm", "effective_rank")


def table(seed: int, benchmark: str, family: str, rank: float = 0.0) -> pl.DataFrame:
    logs, tokens = sizes_and_lengths(seed, effect=-0.3)
    sizes = {
        style: np.stack([size, rank + 0.5 * (style == "quality_high") - size], axis=1)
        for style, size in logs.items()
    }
    return quality_table(sizes, tokens, statistics=STATISTICS, benchmark=benchmark, family=family)


def cosines(of: pl.DataFrame, size: float) -> pl.LazyFrame:
    """Cosines of random sign for every example and layer of a table."""
    draw = np.random.default_rng(0)
    rows = of.filter(projection="q").drop("projection", *STATISTICS)
    kinds = [("same_layer", "q_o"), ("next_layer", "v")]
    parts = [rows.with_columns(kind=pl.lit(kind), pair=pl.lit(pair)) for kind, pair in kinds]
    both = pl.concat(parts)
    signs = draw.choice([-1, 1], both.height) * draw.uniform(0.8, 1.2, both.height)
    return both.with_columns(cosine=pl.Series(size * signs)).lazy()


@pytest.fixture(scope="module")
def judged() -> SequelJudgment:
    instruction = table(0, "wiz_reward", "instruction")
    reasoning = table(1, "reasoning_r1", "math", rank=0.8)
    return judge_sequel(
        [instruction, reasoning],
        [cosines(instruction, 0.02), cosines(reasoning, 0.3)],
        resamples=200,
    )


@pytest.fixture(scope="module")
def verdicts(judged: SequelJudgment) -> pl.DataFrame:
    return judged.verdicts


def test_every_claim_that_the_data_allow_is_judged(verdicts: pl.DataFrame) -> None:
    families = {"S4a", "S4b"}
    assert set(verdicts["claim"]) == {claim.claim for claim in ALL_SEQUEL_CLAIMS} - families


def test_claims_have_names_of_their_own() -> None:
    assert len({claim.claim for claim in ALL_SEQUEL_CLAIMS}) == len(ALL_SEQUEL_CLAIMS)


def test_planted_effects_are_found(verdicts: pl.DataFrame) -> None:
    overall = dict(verdicts.filter(level="overall").select("claim", "verdict").iter_rows())
    for claim in ("S1", "S2", "S2-matched", "S2-regression", "S6", "S6-regression"):
        assert overall[claim] == "supported"


def test_only_claims_on_the_sizes_of_two_curves_have_length_control(
    judged: SequelJudgment,
) -> None:
    compared = {"S1", "S2", "S6"}
    assert {claim.claim for claim in ALL_SEQUEL_CLAIMS if compares_styles(claim)} == compared
    assert set(judged.length_control["claim"]) == compared
    of_norms = {row["control"]: row for row in judged.length_control.to_dicts()[:6]}
    assert of_norms["summed_loss"]["effect"] is not None
    assert of_norms["regression"]["how"] == "no item has responses of both styles"
    judged_claims = judged.verdicts.filter(level="overall").drop_nulls("survives_length")
    assert set(judged_claims["claim"]) == compared


def test_a_ratio_of_aurocs_or_of_distances_is_not_named_a_ratio_of_two_curves() -> None:
    ratios = {claim.claim: claim.ratio for claim in ALL_SEQUEL_CLAIMS}
    assert ratios["S1"] == "nuclear norm: quality low / quality high"
    assert [ratios[name] for name in ("S3", "S4a", "S4b", "S1-matched")] == [None] * 4


def test_cosines_of_opposite_signs_do_not_cancel(verdicts: pl.DataFrame) -> None:
    cells = verdicts.filter(pl.col("claim").str.starts_with("S5"), level="cell")
    found = {(row["benchmark"], row["verdict"]) for row in cells.to_dicts()}
    assert found == {("wiz_reward", "supported"), ("reasoning_r1", "contradicted")}
    small = cells.filter(benchmark="wiz_reward")["effect"]
    assert small.to_list() == pytest.approx([0.2] * len(small), rel=0.05)
    assert set(cells["projection"]) == {"q_o", "v"}


def test_reasoning_is_compared_with_all_instruction_data_together(verdicts: pl.DataFrame) -> None:
    cells = verdicts.filter(claim="S6", level="cell")
    assert set(cells["benchmark"]) == {ALL_INSTRUCTION}
    assert cells["effect"].to_list() == pytest.approx([np.exp(0.8)] * 2, rel=0.2)


def test_an_example_of_several_benchmarks_counts_once() -> None:
    instruction, reasoning = table(0, "wiz_reward", "instruction"), table(1, "r", "math")
    again = instruction.with_columns(
        pl.lit("wiz_instag").alias("benchmark"), pl.col("item_id") + "again"
    )
    none = cosines(instruction, 0.1).filter(pl.lit(False))
    once, twice = (
        judge_sequel(tables, [none] * len(tables), resamples=100).verdicts.filter(claim="S6")
        for tables in ([instruction, reasoning], [instruction, again, reasoning])
    )
    assert twice.equals(once)


def test_too_little_overlap_of_lengths_is_the_reason() -> None:
    made = sizes_and_lengths(2, low=(2.0, 0.2), high=(6.0, 0.2))
    only = quality_table(*made, benchmark="her_reward")
    alignments = [cosines(only.with_columns(effective_rank=pl.lit(1.0)), 0.1)]
    verdicts = judge_sequel([only], alignments, resamples=50).verdicts
    reasons = verdicts.filter(claim="S1-matched", level="cell")["reason"].unique().to_list()
    assert reasons == [
        "lengths do not overlap enough: 0 pairs of equal length, at least 8 are required"
    ]
    overall = verdicts.filter(claim="S1-matched", level="overall")["reason"].item()
    assert overall == "lengths do not overlap enough: no cell has 8 pairs of equal length"
