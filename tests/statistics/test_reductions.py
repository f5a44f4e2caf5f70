"""Each statistic of a spectrum against NumPy."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from gradpipe.errors import StudyError
from gradpipe.statistics.reductions import REDUCTIONS, reduce_spectra

#: Singular values as they are stored, of any size that a gradient's can have.
SIZES = st.just(0.0) | st.floats(2.0**-60, 2.0**50, width=32)
SPECTRA = st.lists(SIZES, min_size=1, max_size=40)
LOSSES = st.just(0.0) | st.floats(1e-3, 50.0)
#: What a gradient of zero has none of.
UNDEFINED_AT_ZERO = {
    "sigma1_ratio",
    "effective_rank",
    "stable_rank",
    "top4_energy",
    "top16_energy",
    "tail_exponent",
    "tail_distance",
    "token_alignment",
    "effective_tokens",
}
TOKENS = 7
#: Σ‖gₜ‖ over Σσ, and Σ‖gₜ‖² over (Σσ)².
NORMS, ENERGY = 1.5, 0.5


def spectra_frame(spectra: list[list[float]], losses: list[float], dtype: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "singular_values": spectra,
            "frobenius_norm": [float(np.linalg.norm(np.asarray(s, float))) for s in spectra],
            "loss": losses,
            "response_tokens": [TOKENS] * len(losses),
            "token_norms": [NORMS * float(np.sum(s)) for s in spectra],
            "token_energy": [ENERGY * float(np.sum(s)) ** 2 for s in spectra],
        },
        schema={
            "singular_values": pl.List(dtype),
            "frobenius_norm": pl.Float64,
            "loss": pl.Float64,
            "response_tokens": pl.Int64,
            "token_norms": pl.Float64,
            "token_energy": pl.Float64,
        },
    )


def twin(values: list[float], loss: float) -> dict[str, float | None]:
    """Every statistic by its definition, in fp64; None where it has no value."""
    sigma = np.asarray(values, dtype=np.float64)
    total, largest, norm = sigma.sum(), sigma.max(), np.sqrt((sigma**2).sum())
    found: dict[str, float | None] = {
        "nuclear_norm": total,
        "spectral_norm": largest,
        "frobenius_norm": norm,
        "nuclear_norm_over_loss": total / loss if loss else None,
        "nuclear_norm_summed_loss": total * TOKENS,
        "token_gradient_norm": NORMS * total,
    }
    if total == 0:
        return {**found, **dict.fromkeys(UNDEFINED_AT_ZERO)}
    p = sigma[sigma > 0] / total
    return {
        **found,
        "sigma1_ratio": largest / total,
        "effective_rank": math.exp(-(p * np.log(p)).sum()),
        "stable_rank": (norm / largest) ** 2,
        "top4_energy": energy(sigma, 4),
        "top16_energy": energy(sigma, 16),
        **tail(sigma),
        "token_alignment": norm / (NORMS * total),
        "effective_tokens": NORMS**2 / ENERGY,
    }


def energy(sigma: Any, k: int) -> float:
    return float((np.sort(sigma)[-k:] ** 2).sum() / (sigma**2).sum())


def tail(sigma: Any) -> dict[str, float | None]:
    """The power law by scipy: its fit of a Pareto distribution, and its Kolmogorov–Smirnov test."""
    values = np.sort(sigma[sigma > 0] ** 2)
    upper = values[len(values) - len(values) // 2 :]
    if len(upper) < 10 or upper[0] == upper[-1]:
        return {"tail_exponent": None, "tail_distance": None}
    shape, _, least = stats.pareto.fit(upper, floc=0, fscale=upper[0])
    found = stats.kstest(upper, stats.pareto(shape, scale=least).cdf)
    return {"tail_exponent": 1 + shape, "tail_distance": found.statistic}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SPECTRA, LOSSES), min_size=1, max_size=8))
@example([([0.0], 1.0), ([0.0] * 5, 0.0), ([3.0], 2.0), ([5.0, 0.0, 0.0], 0.0), ([2.0] * 40, 1.0)])
def test_every_statistic_equals_its_definition(rows: list[tuple[list[float], float]]) -> None:
    frame = spectra_frame([values for values, _ in rows], [loss for _, loss in rows], pl.Float32)
    reduced = reduce_spectra(frame.lazy()).collect()
    for record, (values, loss) in zip(reduced.iter_rows(named=True), rows, strict=True):
        for name, expected in twin(values, loss).items():
            if expected is None:
                assert record[name] is None, name
            else:
                # Where a tail is one value many times over, logarithms of ratios have few digits.
                tolerance = 1e-6 if name.startswith("tail") else 1e-9
                assert record[name] == pytest.approx(expected, rel=tolerance), name


def test_there_is_a_twin_for_every_statistic() -> None:
    assert set(twin([1.0], 1.0)) == set(REDUCTIONS)


def test_sums_of_float32_spectra_are_taken_in_float64() -> None:
    values = [1e8, *[1.0] * 20]
    reduced = reduce_spectra(spectra_frame([values], [1.0], pl.Float32).lazy()).collect()
    assert reduced["nuclear_norm"].item() == 1e8 + 20
    assert reduced["nuclear_norm"].dtype == pl.Float64


def test_float32_and_float64_lists_give_the_same() -> None:
    spectra = [[4.0, 2.5, 0.0], [1.0]]
    one, other = (
        reduce_spectra(spectra_frame(spectra, [1.0, 2.0], dtype).lazy()).collect()
        for dtype in (pl.Float32, pl.Float64)
    )
    assert one.drop("singular_values").equals(other.drop("singular_values"))


def test_a_gradient_of_zero_has_norms_but_no_ratio_or_rank() -> None:
    reduced = reduce_spectra(spectra_frame([[0.0, 0.0]], [1.0], pl.Float32).lazy()).collect()
    (record,) = reduced.to_dicts()
    assert {name for name in REDUCTIONS if record[name] is None} == UNDEFINED_AT_ZERO
    assert {record[name] for name in set(REDUCTIONS) - UNDEFINED_AT_ZERO} == {0.0}


def test_ranks_lie_between_one_and_the_number_of_values() -> None:
    spectra = [[7.0, *[0.0] * 9], [2.0] * 10]
    reduced = reduce_spectra(spectra_frame(spectra, [1.0, 1.0], pl.Float32).lazy()).collect()
    for name in ("effective_rank", "stable_rank"):
        assert reduced[name].to_list() == pytest.approx([1.0, 10.0])


def test_what_is_not_finite_is_null_and_never_nan() -> None:
    frame = spectra_frame(
        [[float("nan"), 1.0], [float("inf"), 1.0]], [1.0, float("nan")], pl.Float32
    )
    reduced = reduce_spectra(frame.lazy()).collect().select(list(REDUCTIONS))
    assert reduced.select(pl.all().is_nan().any()).row(0) == (False,) * len(REDUCTIONS)
    assert reduced["nuclear_norm"].to_list() == [None, None]
    assert reduced["frobenius_norm"].to_list() == [None, None]


def test_only_the_statistics_asked_for_are_added() -> None:
    frame = spectra_frame([[3.0, 4.0]], [1.0], pl.Float32)
    reduced = reduce_spectra(frame.lazy(), ["stable_rank", "nuclear_norm"]).collect()
    assert reduced.columns == [*frame.columns, "stable_rank", "nuclear_norm"]
    assert reduced["stable_rank"].item() == pytest.approx(25 / 16)


def test_the_stable_rank_is_of_the_frobenius_norm_that_was_measured() -> None:
    # It was taken from the factors: a list cut off at the window does not change it.
    frame = spectra_frame([[3.0, 4.0]], [1.0], pl.Float32).with_columns(frobenius_norm=pl.lit(8.0))
    reduced = reduce_spectra(frame.lazy()).collect()
    assert reduced["frobenius_norm"].item() == 8.0
    assert reduced["stable_rank"].item() == pytest.approx(4.0)


def test_a_statistic_that_is_not_known_is_answered_with_the_nearest() -> None:
    frame = spectra_frame([[1.0]], [1.0], pl.Float32).lazy()
    with pytest.raises(
        StudyError, match=r"no statistic 'stable_rnak': did you mean 'stable_rank'\?"
    ):
        reduce_spectra(frame, ["nuclear_norm", "stable_rnak"])
    with pytest.raises(StudyError, match=r"no statistic 'xyz': known are effective_rank, "):
        reduce_spectra(frame, ["xyz"])


def reduced_values(values: Any, **columns: Any) -> dict[str, Any]:
    frame = spectra_frame([list(values)], [1.0], pl.Float32).with_columns(**columns)
    (record,) = reduce_spectra(frame.lazy()).collect().to_dicts()
    return dict(record)


def test_shares_of_energy_are_whole_where_a_spectrum_is_short() -> None:
    assert reduced_values([3.0, 2.0])["top4_energy"] == 1.0
    record = reduced_values([2.0] * 32)
    assert (record["top4_energy"], record["top16_energy"]) == (4 / 32, 0.5)
    # Of the values themselves, not of the first that are listed.
    assert reduced_values([1.0] * 4 + [2.0] * 4)["top4_energy"] == pytest.approx(16 / 20)


@pytest.mark.parametrize("exponent", [1.5, 2.5, 4.0])
def test_the_exponent_of_values_drawn_from_a_power_law_is_found(exponent: float) -> None:
    # λ > 1 with density λ^−a: its upper half is a power law of the same exponent.
    eigenvalues = 1 + np.random.default_rng(5).pareto(exponent - 1, 4000)
    record = reduced_values(np.sqrt(eigenvalues))
    assert record["tail_exponent"] == pytest.approx(exponent, abs=4 * (exponent - 1) / 2000**0.5)
    assert record["tail_distance"] < 1.36 / 2000**0.5


def test_a_tail_that_is_no_power_law_is_far_from_its_fit() -> None:
    draw = np.random.default_rng(5)
    straight = reduced_values(np.sqrt(1 + draw.pareto(1.5, 400)))
    bent = reduced_values(np.sqrt(draw.uniform(0, 1, 400)))
    assert bent["tail_distance"] > 2 * straight["tail_distance"]


def test_a_spectrum_has_a_tail_from_twenty_values_that_are_not_zero() -> None:
    values = [2.0 ** -(n / 3) for n in range(20)]
    record = reduced_values([*values, *[0.0] * 30])
    assert record == reduced_values(values) | {"singular_values": [*record["singular_values"]]}
    assert record["tail_exponent"] is not None
    # The upper ten: ln(λ/λ_min) is 0, 1, ..., 9 times 2/3 ln 2.
    assert record["tail_exponent"] == pytest.approx(1 + 1 / (4.5 * 2 / 3 * math.log(2)))
    short = reduced_values([*values[:19], *[0.0] * 30])
    assert (short["tail_exponent"], short["tail_distance"]) == (None, None)
    level = reduced_values([3.0] * 50)
    assert (level["tail_exponent"], level["tail_distance"]) == (None, None)


def test_neither_the_order_nor_the_size_of_the_values_moves_shares_or_tail() -> None:
    values = np.random.default_rng(2).lognormal(size=50).astype(np.float32)
    names = ("top4_energy", "top16_energy", "tail_exponent", "tail_distance", "effective_rank")
    expected = reduced_values(np.sort(values)[::-1])
    for other in (values, values * np.float32(2.0**-30)):
        found = reduced_values(other)
        for name in names:
            assert found[name] == pytest.approx(expected[name], rel=1e-9), name


def test_equal_orthogonal_tokens_are_aligned_by_one_over_the_root_of_their_number() -> None:
    record = reduced_values([1.0] * 9, token_norms=pl.lit(9.0), token_energy=pl.lit(9.0))
    assert record["effective_tokens"] == pytest.approx(9)
    assert record["token_alignment"] == pytest.approx(1 / 3)
    same = reduced_values([9.0], token_norms=pl.lit(9.0), token_energy=pl.lit(9.0))
    assert (same["effective_tokens"], same["token_alignment"]) == (9.0, 1.0)


def test_the_norm_of_the_summed_loss_counts_the_response_tokens() -> None:
    assert reduced_values([3.0, 1.0])["nuclear_norm_summed_loss"] == 4 * TOKENS
    more = reduced_values([3.0, 1.0], response_tokens=pl.lit(100))
    assert more["nuclear_norm_summed_loss"] == 400.0
    assert more["nuclear_norm"] == 4.0
