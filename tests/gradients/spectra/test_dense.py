"""Singular values of gradients that exist as matrices, against an SVD in double precision."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.gradients.spectra.dense import dense_singular_values


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    rank=st.integers(0, 40),
    exponent=st.integers(-35, 35),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    seed=st.integers(0, 2**16),
)
def test_values_are_those_of_an_svd(
    rows: int, columns: int, rank: int, exponent: int, dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    right = torch.randn(rank, columns, generator=generator, dtype=torch.float64)
    gradient = (left @ right * 10.0**exponent).to(dtype)
    expected = torch.linalg.svdvals(gradient.double())
    found = dense_singular_values(gradient)
    assert found.dtype == torch.float64
    largest = float(expected[0])
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=4e-8 * largest)


def test_a_gradient_that_requires_no_contiguity_is_not_changed() -> None:
    whole = torch.randn(24, 10, generator=torch.Generator().manual_seed(0))
    part = whole[::2].T
    before = part.clone()
    torch.testing.assert_close(
        dense_singular_values(part), torch.linalg.svdvals(part.double()), rtol=1e-9, atol=1e-9
    )
    assert torch.equal(part, before)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_gradient_that_is_not_finite_has_no_values(value: float) -> None:
    gradient = torch.ones(3, 5)
    gradient[1, 2] = value
    assert dense_singular_values(gradient).isnan().tolist() == [True] * 3
