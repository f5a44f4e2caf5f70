"""Statistics that no matrix can have are found."""

import polars as pl
import pytest

from gradpipe.statistics.checks import NORMS_DESCENDING, check_norms


def table(
    nuclear: float | None = 3.0, frobenius: float = 2.0, spectral: float = 1.0
) -> pl.LazyFrame:
    """Two matrices, one of which is sound in any case."""
    rows = [(3.0, 2.0, 1.0), (nuclear, frobenius, spectral)]
    return pl.LazyFrame(rows, schema=list(NORMS_DESCENDING), orient="row")


def test_norms_in_their_order_pass() -> None:
    assert check_norms(table(), NORMS_DESCENDING).passed


def test_the_three_norms_of_a_matrix_of_rank_one_may_be_equal() -> None:
    assert check_norms(table(1.0, 1.0 + 1e-8, 1.0), NORMS_DESCENDING).passed


@pytest.mark.parametrize(
    "norms", [(1.0, 2.0, 0.5), (3.0, 1.0, 2.0), (float("nan"), 2.0, 1.0), (None, 2.0, 1.0)]
)
def test_norms_out_of_order_or_not_finite_are_found(
    norms: tuple[float | None, float, float],
) -> None:
    check = check_norms(table(*norms), NORMS_DESCENDING)
    assert not check.passed
    assert check.numbers == {"matrices": 2, "possible": 1}


def test_only_the_norms_that_the_study_has_are_compared() -> None:
    columns = ("nuclear_norm", "spectral_norm")
    assert check_norms(table(3.0, 9.0, 1.0).select(columns), columns).passed
    assert not check_norms(table(1.0, 9.0, 2.0).select(columns), columns).passed


def test_a_study_without_norms_has_none_to_compare() -> None:
    assert check_norms(table().select(pl.lit(1.0).alias("effective_rank")), ()).passed


def test_a_partition_without_usable_rows_has_none_to_compare() -> None:
    assert check_norms(table().limit(0), NORMS_DESCENDING).passed
