"""Symmetric products by blocks are the plain products, of any size and however they lie."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradpipe.gradients.spectra import lapack, symmetric
from gradpipe.gradients.spectra.sizes import WORTH_BLOCKS
from gradpipe.gradients.spectra.symmetric import BLOCKS, congruence, outer_product

#: Around the size from which on blocks pay, divisible by their number or not.
SIZES = [1, 2, WORTH_BLOCKS - 1, WORTH_BLOCKS, WORTH_BLOCKS + 1, WORTH_BLOCKS + 2, 301]


def random(*size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def assert_is(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    blocks = len(found[0]) >= symmetric.WORTH_BLOCKS
    # By blocks, what is above the diagonal's is a copy of what is below.
    difference = (found - found.mT).abs().max()
    assert float(difference) <= 1e-12 * float(expected.abs().max())
    if blocks:
        part = -(-found.shape[1] // BLOCKS)
        assert torch.equal(found[:, :part, part:], found[:, part:, :part].mT)


@pytest.fixture(params=["by routines", "by blocks"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """The way of host memory, and that of an accelerator."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by blocks":
            patch.setattr(lapack, "usable", lambda *_: False)
        yield


def assert_products_are_plain(rows: int, n: int, width: int, seed: int = 0) -> None:
    x = random(rows, n, width, seed=seed)
    # As they are, as a transposed one, as part of a wider or longer one, and one for all rows.
    strided = random(rows, width, n, seed=seed).mT
    part = random(rows, n + 3, width + 2, seed=seed)[:, 1 : n + 1, 2:]
    same = x[:1].expand(rows, -1, -1)
    for each in (x, strided, part, same):
        assert_is(outer_product(each), each @ each.mT)
    factor, a = random(rows, n, n, seed=seed + 1).tril(), x @ x.mT
    lower = random(rows, n, n, seed=seed + 2).mT.tril()
    upper = random(rows, n, n, seed=seed + 2).triu().mT
    for each in (factor, lower, upper, factor.mT.contiguous().mT):
        for matrix in (a, a.mT):
            assert_is(congruence(each, matrix), each.mT @ matrix @ each)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("n", SIZES)
def test_products_around_the_size_of_blocks_are_plain(n: int, rows: int) -> None:
    assert_products_are_plain(rows, n, 40)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 4),
    n=st.integers(1, 40),
    width=st.integers(1, 50),
    worth=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_products_of_any_size_are_plain(
    rows: int, n: int, width: int, worth: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetric, "WORTH_BLOCKS", worth)
        assert_products_are_plain(rows, n, width, seed)


def test_what_is_given_stays_as_it_was() -> None:
    x, factor = random(2, WORTH_BLOCKS, 30), random(2, WORTH_BLOCKS, WORTH_BLOCKS).tril()
    a = x @ x.mT
    before = [each.clone() for each in (x, factor, a)]
    outer_product(x)
    congruence(factor, a)
    assert all(map(torch.equal, before, (x, factor, a)))
