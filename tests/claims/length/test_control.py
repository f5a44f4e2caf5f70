"""Claims on two styles with length controlled for, on results of which the truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.claims.length.control import LENGTH_CONTROLS, compares_styles, length_control
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.schemas import LENGTH_CONTROL_SCHEMA
from gradpipe.claims.values import split_cells
from gradpipe.claims.verdicts import judge
from tests.claims.conftest import make_cell, make_table

WAVE = 5 + 3 * np.sin(2.1 * np.arange(6))
CLAIM = "none > detailed on nuclear_norm"
EXAMPLE = ["item_id", "style", "relevance"]
#: The shortest and longest response of each style, in tokens.
OVERLAPPING = {"none": (30, 60), "detailed": (30, 60)}
LONGER = {"none": (20, 90), "detailed": (30, 160)}
APART = {"none": (2, 8), "detailed": (60, 250)}
PADDED = {"simplified": (60, 90), "none_padded": (60, 90), "detailed_cut": (60, 90)}


def planted(
    lengths: Mapping[str, tuple[int, int]],
    sizes: Mapping[str, float] | None = None,
    *,
    slope: float = 0.0,
    items: int = 40,
    benchmarks: Sequence[str] = ("b",),
    seed: int = 0,
) -> pl.DataFrame:
    """Norms of size × tokens ** slope, of the styles in ``lengths``; losses of 1 / √tokens."""
    tables = []
    for number, benchmark in enumerate(benchmarks):
        curves = {(style, "correct"): (sizes or {}).get(style, 1.0) * WAVE for style in lengths}
        cell = make_cell([seed, number], items, curves, 0.1, 0.1, model="m", benchmark=benchmark)
        ends = np.log([lengths[style] for style, _ in cell.curves])
        draw = np.random.default_rng([seed, number, 1])
        tokens = np.exp(draw.uniform(ends[:, 0], ends[:, 1], (items, len(ends)))).round()
        scaled = replace(cell, values=cell.values * (tokens**slope)[:, :, None, None])
        rows = [
            (item, *curve, int(tokens[row, column]))
            for row, item in enumerate(cell.items)
            for column, curve in enumerate(cell.curves)
        ]
        labels = pl.DataFrame(rows, [*EXAMPLE, "response_tokens"], orient="row").with_columns(
            (pl.col("response_tokens").cast(pl.Float64) ** -0.5).alias("loss")
        )
        tables.append(make_table(scaled).join(labels, on=EXAMPLE))
    return pl.concat(tables)


def controls_of(table: pl.DataFrame, *claims: str) -> pl.DataFrame:
    parsed = [parse_claim(claim, ["nuclear_norm"]) for claim in claims or (CLAIM,)]
    return length_control(list(split_cells(table).values()), parsed)


def row_of(controls: pl.DataFrame, control: str) -> dict[str, object]:
    return controls.filter(control=control).row(0, named=True)


def word(table: pl.DataFrame, claim: str = CLAIM) -> tuple[str, str | None]:
    """The overall verdict on a claim, and whether it survives length control."""
    overall = judge(table, [claim]).filter(level="overall").row(0, named=True)
    return overall["verdict"], overall["survives_length"]


def test_a_difference_that_is_all_length_does_not_survive() -> None:
    assert word(planted(LONGER, slope=-0.5)) == ("supported", "no")


def test_a_difference_between_styles_of_overlapping_lengths_survives() -> None:
    assert word(planted(OVERLAPPING, {"none": 2.0})) == ("supported", "yes")


def test_a_difference_that_length_hides_is_reversed() -> None:
    table = planted(LONGER, {"none": 0.7}, slope=-1.5, items=100)
    assert word(table) == ("supported", "reversed")
    assert row_of(controls_of(table), "regression")["effect"] == pytest.approx(0.7, rel=0.1)


def test_a_contradiction_survives_as_a_support_does() -> None:
    table = planted(OVERLAPPING, {"none": 2.0})
    claim = "detailed > none on nuclear_norm"
    assert word(table, claim) == ("contradicted", "yes")
    assert set(controls_of(table, claim)["outcome"].drop_nulls()) == {"agrees"}


def test_styles_whose_lengths_do_not_overlap_cannot_be_told() -> None:
    table = planted(APART, {"none": 10.0})
    assert word(table) == ("supported", "cannot be told")
    controls = controls_of(table)
    regression = row_of(controls, "regression")
    assert (regression["effect"], regression["outcome"], regression["cells"]) == (None, None, 0)
    assert regression["how"] == "lengths do not overlap: detailed is longer in every item"
    assert row_of(controls, "summed_loss")["outcome"] == "reversed"


def test_a_padded_answer_that_is_mostly_padding_does_not_count() -> None:
    sizes = {"none": 9.0, "none_padded": 9.0, "detailed_cut": 1.0}
    table = planted(APART | PADDED, sizes)
    matched = row_of(controls_of(table), "matched")
    assert matched["outcome"] == "agrees"
    assert 0.02 < matched["answer_share"] < 0.1
    assert word(table) == ("supported", "cannot be told")

    mostly = planted({"none": (40, 60), "detailed": (90, 130)} | PADDED, sizes)
    assert row_of(controls_of(mostly), "matched")["answer_share"] > 0.5
    assert word(mostly) == ("supported", "yes")
    # The summed loss of a response of five times the length is larger here, so nothing survives.
    longer = planted({"none": (40, 60), "detailed": (900, 1300)} | PADDED, sizes)
    assert row_of(controls_of(longer), "matched")["outcome"] == "agrees"
    assert word(longer) == ("supported", "no")


def test_each_control_divides_the_sum_over_tokens_by_its_own_power() -> None:
    table = planted({"none": (4, 4), "detailed": (100, 100)}, {"none": 3.0})
    controls = controls_of(table)
    measured = row_of(controls, "measured")["effect"]
    assert row_of(controls, "summed_loss")["effect"] == pytest.approx(measured * 4 / 100)
    assert row_of(controls, "per_sqrt_token")["effect"] == pytest.approx(measured * 2 / 10)


def test_the_figure_as_measured_is_the_verdicts() -> None:
    table = planted(OVERLAPPING, {"none": 1.1}, benchmarks=("a", "b", "c"))
    claims = [CLAIM, "none > detailed on mad of nuclear_norm in early layers"]
    verdicts = judge(table, claims).filter(level="overall")
    numbers = ["claim", "effect", "low", "high", "items"]
    measured = controls_of(table, *claims).filter(control="measured")
    assert_frame_equal(measured.select(numbers), verdicts.select(numbers))
    assert measured["cells"].to_list() == [6, 6]


def test_the_regression_is_one_with_a_factor_for_each_item() -> None:
    """Against ordinary least squares with all its columns written out, averaged over the cells."""
    table = planted(OVERLAPPING, {"none": 2.0}, slope=-0.7, benchmarks=("a", "b"))
    for control, covariate in (("regression", "response_tokens"), ("loss_matched", "loss")):
        heights = []
        for _, cell in table.group_by("benchmark", "projection"):
            examples = cell.group_by("item_id", "style", covariate).agg(
                pl.col("nuclear_norm").log().mean().alias("y")
            )
            design = np.column_stack(
                [
                    examples["style"] == "none",
                    examples[covariate].log(),
                    examples["item_id"].to_dummies(),
                ]
            ).astype(float)
            heights.append(np.linalg.lstsq(design, examples["y"].to_numpy())[0][0])
        row = row_of(controls_of(table), control)
        assert row["effect"] == pytest.approx(np.exp(np.mean(heights)))
        assert row["cells"] == 4


def test_styles_whose_losses_do_not_overlap_are_not_compared_at_equal_loss() -> None:
    row = row_of(controls_of(planted(APART)), "loss_matched")
    assert row["effect"] is None
    assert row["how"] == "losses do not overlap: none has the larger loss in every item"


def test_a_control_of_few_of_the_cells_does_not_count() -> None:
    apart = planted(APART, {"none": 9.0}, benchmarks=("a", "b"))
    overlapping = planted(OVERLAPPING, {"none": 9.0}, benchmarks=("c",))
    assert word(overlapping) == ("supported", "yes")
    table = pl.concat([apart, overlapping])
    regression = row_of(controls_of(table), "regression")
    assert (regression["cells"], regression["outcome"]) == (2, "agrees")
    assert word(table) == ("supported", "cannot be told")


def test_an_undecided_verdict_does_not_survive() -> None:
    """As measured the mean over both benchmarks is decided, but they disagree."""
    agreed = planted(OVERLAPPING, {"none": 4.0}, benchmarks=("a",))
    opposed = planted(OVERLAPPING, {"none": 0.8}, seed=1, benchmarks=("b",))
    assert word(pl.concat([agreed, opposed])) == ("undecided", "no")
    assert word(agreed) == ("supported", "yes")
    assert row_of(controls_of(pl.concat([agreed, opposed])), "regression")["outcome"] == "agrees"


def test_a_ratio_short_of_a_margin_is_weaker_not_reversed() -> None:
    claim = replace(parse_claim(CLAIM, ["nuclear_norm"]), margin=1.4)
    for size, outcome, survives in ((1.2, "weaker", "no"), (0.7, "reversed", "reversed")):
        table = planted(LONGER, {"none": size}, slope=-2.5, items=100)
        controls = length_control(list(split_cells(table).values()), [claim])
        assert row_of(controls, "measured")["outcome"] == "agrees"
        assert row_of(controls, "regression")["outcome"] == outcome
        assert judge(table, [claim])["survives_length"][0] == survives


def test_a_study_with_a_model_pair_or_relevance_has_no_length_control() -> None:
    compared = [claim.claim for claim in PAPER_CLAIMS if compares_styles(claim)]
    assert compared == ["1a", "1b", "1c", "1d", "1e", "1f", "2", "6a", "6b"]
    assert controls_of(planted(OVERLAPPING), "none > none irrelevant on nuclear_norm").is_empty()


def test_a_table_without_tokens_or_loss_has_fewer_controls() -> None:
    table = planted(OVERLAPPING, {"none": 2.0})
    assert controls_of(table.drop("response_tokens")).schema == LENGTH_CONTROL_SCHEMA
    assert controls_of(table.drop("response_tokens")).is_empty()
    assert word(table.drop("response_tokens")) == ("supported", None)
    controls = controls_of(table.drop("loss"))
    assert controls["control"].to_list() == list(LENGTH_CONTROLS)
    assert row_of(controls, "loss_matched")["effect"] is None
    assert word(table.drop("loss")) == ("supported", "yes")


def test_a_statistic_that_is_no_size_has_no_summed_loss() -> None:
    table = planted(OVERLAPPING, {"none": 2.0}).rename({"nuclear_norm": "effective_rank"})
    claim = parse_claim("none > detailed on effective_rank", ["effective_rank"])
    controls = length_control(list(split_cells(table).values()), [claim])
    known = controls.drop_nulls("effect")["control"].to_list()
    assert known == ["measured", "regression", "loss_matched"]
    assert word(table, claim.claim) == ("supported", "yes")
