"""Routines of scipy's library give what torch gives, change no input and may run at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradpipe.gradients.spectra.lapack import congruent, host_eigenvalues, symmetric_product, usable


def random(*size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def assert_close(found: Tensor, expected: Tensor) -> None:
    scale = max(float(expected.abs().max()), 1e-300) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13 * scale)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    rows=st.integers(0, 3), n=st.integers(1, 70), width=st.integers(0, 50), seed=st.integers(0, 999)
)
def test_the_routines_give_what_torch_gives(rows: int, n: int, width: int, seed: int) -> None:
    x, factor = random(rows, n, width, seed=seed), random(rows, n, n, seed=seed + 1).tril()
    strided = random(rows, width, n, seed=seed).mT
    for each in (x, strided):
        assert_close(symmetric_product(each), each @ each.mT)
    a = x @ x.mT
    upper = factor.mT.contiguous().mT
    for each in (factor, upper):
        assert_close(congruent(each, a), each.mT @ a @ each)
    assert_close(host_eigenvalues(a), torch.linalg.eigvalsh(a))


def test_eigenvalues_of_known_matrices() -> None:
    assert host_eigenvalues(torch.zeros(2, 3, 3).double()).tolist() == [[0.0] * 3] * 2
    assert host_eigenvalues(torch.tensor([[[4.0]]]).double()).tolist() == [[4.0]]
    diagonal = torch.diag(torch.tensor([3.0, -1.0, 2.0]).double())[None]
    assert host_eigenvalues(diagonal)[0].tolist() == pytest.approx([-1.0, 2.0, 3.0])


def test_what_is_given_stays_as_it_was() -> None:
    x, factor = random(2, 60, 30), random(2, 60, 60).tril()
    a = x @ x.mT
    before = [each.clone() for each in (x, factor, a)]
    symmetric_product(x), congruent(factor, a), host_eigenvalues(a)
    assert all(map(torch.equal, before, (x, factor, a)))


def test_a_matrix_that_is_not_finite_leaves_the_others_right() -> None:
    x = random(3, 40, 20)
    x[1, 5, 5] = float("nan")
    product = symmetric_product(x)
    assert_close(product[[0, 2]], (x @ x.mT)[[0, 2]])
    assert not np.isfinite(product[1].numpy()).all()


def test_many_threads_at_once_get_the_results_of_one() -> None:
    matrices = [symmetric_product(random(1, 180, 200, seed=seed)) for seed in range(12)]
    alone = [host_eigenvalues(matrix) for matrix in matrices]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(host_eigenvalues, matrices))
    assert all(map(torch.equal, alone, together))


def test_only_float64_in_host_memory_is_usable() -> None:
    assert usable(random(1, 2, 2))
    assert not usable(random(1, 2, 2).float())
    assert not usable(random(1, 2, 2), torch.empty(1, device="meta", dtype=torch.float64))
