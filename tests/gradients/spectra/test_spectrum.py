"""Singular values from factors equal those of the gradient itself, whatever the factors are."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from gradpipe.gradients.spectra import spectrum as module
from gradpipe.gradients.spectra.layer_jobs import by_inputs
from gradpipe.gradients.spectra.sizes import WORTH_BLOCKS
from gradpipe.gradients.spectra.spectrum import (
    Inputs,
    Spectrum,
    TokenSizes,
    spectra_of_gradients,
)

Factors = tuple[Tensor, Tensor]


def powers_of_ten(generator: Generator, *size: int) -> Tensor:
    """Factors from 1e-12 to 1e12."""
    return 10 ** (24 * torch.rand(size, generator=generator, dtype=torch.float64) - 12)


def repeat(generator: Generator, x: Tensor) -> Tensor:
    return x[torch.randint(0, 1 + len(x) // 3, (len(x),), generator=generator)]


def some(generator: Generator, x: Tensor) -> Tensor:
    return x * (torch.rand(len(x), 1, generator=generator) < 0.4)


def one_large_token(x: Tensor, d: Tensor) -> Factors:
    scales = torch.ones(len(x), 1, dtype=x.dtype)
    scales[0] = 1e6
    return x * scales, d / scales


#: What becomes of random X [T, d_in] and D [T, d_out].
KINDS: dict[str, Callable[[Generator, Tensor, Tensor], Factors]] = {
    "as they are": lambda g, x, d: (x, d),
    "in float32": lambda g, x, d: (x.float(), d.float()),
    "of any scale": lambda g, x, d: (x * powers_of_ten(g, 1), d * powers_of_ten(g, 1)),
    "of any scale, token by token": lambda g, x, d: (
        x * powers_of_ten(g, len(x), 1),
        d * powers_of_ten(g, len(x), 1),
    ),
    "one token a million times larger": lambda g, x, d: one_large_token(x, d),
    "repeated tokens": lambda g, x, d: (repeat(g, x), d),
    "nearly repeated tokens": lambda g, x, d: (repeat(g, x) + 1e-9 * x, d),
    "repeated tokens of any scale": lambda g, x, d: (
        repeat(g, x) * powers_of_ten(g, len(x), 1),
        d * powers_of_ten(g, len(x), 1),
    ),
    "tokens without gradient": lambda g, x, d: (x, some(g, d)),
    "tokens without input": lambda g, x, d: (some(g, x), d),
    "a gradient of rank one": lambda g, x, d: (x, d[:, :1] * d[:1]),
    "inputs of rank two": lambda g, x, d: (x[:, :1] * x[:1] + x[:, -1:] * x[-1:], d),
    "a gradient that fades": lambda g, x, d: (
        x,
        d * 10 ** (-torch.arange(len(d), dtype=d.dtype) / 4)[:, None],
    ),
}


def random_factors(tokens: int, d_in: int, d_out: int, seed: int = 0) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, d_in, generator=generator, dtype=torch.float64)
    return x, torch.randn(tokens, d_out, generator=generator, dtype=torch.float64)


def effective_rank(values: Tensor) -> float:
    shares = values[values > 0] / values.sum()
    return float((-(shares * shares.log()).sum()).exp())


def spectrum(x: Tensor, d: Tensor) -> Spectrum:
    [found] = spectra_of_gradients(x[None], {"q": d[None]})["q"].rows()
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    tokens=st.integers(1, 70),
    d_in=st.integers(1, 60),
    d_out=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_spectrum_is_that_of_the_gradient(
    kind: str, tokens: int, d_in: int, d_out: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, d = KINDS[kind](generator, *random_factors(tokens, d_in, d_out, seed))
    gradient = d.double().T @ x.double()
    expected = torch.linalg.svdvals(gradient)
    found = spectrum(x, d)
    values = found.singular_values
    assert found.fault is None
    assert values.dtype == torch.float64
    assert len(values) <= min(tokens, d_in, d_out)
    assert bool((values[:-1] >= values[1:]).all())
    assert bool((values >= 0).all())
    # Summing the gradient in another order is all that may differ here.
    assert found.squared_norm == pytest.approx(float(gradient.square().sum()), rel=1e-10)
    assert float(values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7)
    assert float(values[0]) == pytest.approx(float(expected[0]), rel=1e-10)
    # A singular value that is truly zero comes out as anything below √eps of the largest.
    difference = torch.nn.functional.pad(values, (0, len(expected) - len(values))) - expected
    assert float(difference.abs().max()) <= 1e-7 * float(expected[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tokens", "d_in", "d_out"), [(1, 5, 3), (60, 9, 40), (12, 50, 30)])
def test_sizes_of_tokens_are_the_norms_of_their_outer_products(
    kind: str, tokens: int, d_in: int, d_out: int
) -> None:
    generator = torch.Generator().manual_seed(tokens)
    x, d = KINDS[kind](generator, *random_factors(tokens, d_in, d_out))
    terms = [np.outer(*(row.double().numpy() for row in pair)) for pair in zip(d, x, strict=True)]
    norms = np.array([np.linalg.norm(term) for term in terms])
    found = spectrum(x, d)
    assert found.tokens == pytest.approx((norms.sum(), (norms**2).sum()), rel=1e-10)
    whole = np.linalg.norm(np.sum(terms, axis=0))
    assert found.squared_norm**0.5 == pytest.approx(whole, rel=1e-7)
    assert whole <= found.tokens.norms * (1 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_shared_by_projections_give_what_fresh_ones_give(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, first = KINDS[kind](generator, *random_factors(20, 40, 30))
    ds = [first, first[:, :7], some(generator, first), first.flip(0), first]
    at_once = spectra_of_gradients(x[None], {str(n): d[None] for n, d in enumerate(ds)})
    for number, d in enumerate(ds):
        fresh = spectrum(x, d)
        [together] = at_once[str(number)].rows()
        assert together.squared_norm == fresh.squared_norm
        assert together.tokens == pytest.approx(fresh.tokens, rel=1e-12)
        # Together, a matrix lies elsewhere in memory, which changes the last bits of LAPACK.
        rounding = 1e-13 * fresh.squared_norm**0.5
        np.testing.assert_allclose(
            together.singular_values, fresh.singular_values, rtol=1e-13, atol=rounding
        )


def test_projections_of_a_layer_are_told_apart_by_their_inputs() -> None:
    x, d = random_factors(9, 12, 8)
    other, _ = random_factors(9, 12, 8, seed=1)
    factors = {"q": (x, d), "k": (x, d[:, :4]), "o": (other, d)}
    shared = by_inputs({name: (x[None], d[None]) for name, (x, d) in factors.items()})
    assert [list(ds) for _, ds in shared] == [["q", "k"], ["o"]]
    for inputs, ds in shared:
        for name, found in spectra_of_gradients(inputs, ds).items():
            [row] = found.rows()
            np.testing.assert_array_equal(
                row.singular_values, spectrum(*factors[name]).singular_values
            )


def test_a_response_of_hundreds_of_tokens_is_as_exact_as_a_short_one() -> None:
    x, d = random_factors(300, 320, 310)
    x = repeat(torch.Generator().manual_seed(0), x)
    expected = torch.linalg.svdvals(d.T @ x)
    found = spectrum(x, d)
    assert found.fault is None
    assert float(found.singular_values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7)


#: Tokens, inputs and outputs around the sizes where products go by blocks and where another matrix
#: is the smallest: queries, grouped keys, and each of them oblong.
LARGE = (
    (WORTH_BLOCKS - 1, 256, 256),
    (WORTH_BLOCKS, 200, 256),
    (WORTH_BLOCKS + 1, 320, 64),
    (260, 320, 310),
    (260, 64, 320),
    (400, 200, 200),
    (400, 320, 96),
    (500, 96, 80),
)
#: With these costs of an eigenvalue problem the smallest matrix is taken, and never.
ROUTES = {"as it pays": None, "the smallest": 1e9, "the largest": -1e9}


@pytest.mark.parametrize("kind", ["as they are", "repeated tokens", "inputs of rank two"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_large_gradients_are_exact_whichever_matrix_is_taken(
    shape: tuple[int, int, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    x, d = KINDS[kind](generator, *random_factors(*shape, seed=sum(shape)))
    gradient = d.T @ x
    expected = torch.linalg.svdvals(gradient)
    for route, cost in ROUTES.items():
        if cost is not None:
            monkeypatch.setattr(module, "EIGENVALUE_COST", cost)
        found = spectrum(x, d)
        values = found.singular_values
        assert found.fault is None, route
        assert len(values) == min(shape)
        assert found.squared_norm == pytest.approx(float(gradient.square().sum()), rel=1e-10)
        assert float(values[0]) == pytest.approx(float(expected[0]), rel=1e-10), route
        assert float(values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7), route
        assert effective_rank(values) == pytest.approx(effective_rank(expected), rel=1e-6), route


@pytest.mark.parametrize("tokens", [40, WORTH_BLOCKS + 5])
def test_each_size_takes_another_matrix(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    eigenvalues = module.eigenvalues

    def spy(core: Tensor) -> Tensor:
        sizes.append(core.shape[1])
        return eigenvalues(core)

    monkeypatch.setattr(module, "eigenvalues", spy)
    for d_in, d_out in ((400, 380), (400, 4), (5, 400)):
        spectrum(*random_factors(tokens, d_in, d_out))
    assert sizes == [tokens, 4, 5]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=6),
    extra=st.integers(0, 9),
    d_in=st.integers(1, 48),
    widths=st.lists(st.integers(1, 48), min_size=1, max_size=3),
    dtypes=st.tuples(*[st.sampled_from([torch.float64, torch.float32, torch.bfloat16])] * 2),
    kind=st.sampled_from(
        ["as they are", "repeated tokens", "tokens without gradient", "one token a million"]
    ),
    repeats=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_row_of_a_padded_stack_equals_the_row_alone(
    lengths: list[int],
    extra: int,
    d_in: int,
    widths: list[int],
    dtypes: tuple[torch.dtype, torch.dtype],
    kind: str,
    repeats: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    of_kind = next(each for name, each in KINDS.items() if name.startswith(kind))
    tokens = max(lengths) + extra
    x = torch.zeros(len(lengths), tokens, d_in, dtype=dtypes[0])
    d = torch.zeros(len(lengths), tokens, sum(widths), dtype=dtypes[1])
    for row, length in enumerate(lengths):
        own = of_kind(generator, *random_factors(length, d_in, sum(widths), seed + row))
        x[row, :length], d[row, :length] = own
        # What padding computes: some token over and over, with no gradient.
        x[row, length:] = x[row, 0] if repeats else torch.randn(d_in, generator=generator)
    ds = {str(number): part for number, part in enumerate(d.split(widths, dim=2))}
    for name, found in spectra_of_gradients(x, ds).items():
        for row, (length, together) in enumerate(zip(lengths, found.rows(), strict=True)):
            alone = spectrum(x[row, :length], ds[name][row, :length])
            values, others = alone.singular_values, together.singular_values
            assert together.fault is None
            assert len(others) == len(values)
            assert together.squared_norm == pytest.approx(alone.squared_norm, rel=1e-10)
            assert float(others[0]) == pytest.approx(float(values[0]), rel=1e-10)
            assert float(others.sum()) == pytest.approx(float(values.sum()), rel=1e-7)
            # A singular value that is truly zero comes out as anything below √eps of the largest.
            assert float((values - others).abs().max()) <= 1e-7 * float(values[0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["x", "d"])
@pytest.mark.parametrize("shape", [(6, 8, 9), (30, 8, 5), (WORTH_BLOCKS + 7, 220, 230)], ids=str)
def test_a_row_that_is_not_finite_leaves_the_others_of_its_stack_untouched(
    shape: tuple[int, int, int], place: str, bad: float
) -> None:
    rows = [random_factors(*shape, seed=seed) for seed in range(3)]
    x, d = (torch.stack(each) for each in zip(*rows, strict=True))
    before = spectra_of_gradients(x, {"q": d, "k": d[:, :, :3]})
    (x if place == "x" else d)[1, 4, 2] = bad
    for name, found in spectra_of_gradients(x, {"q": d, "k": d[:, :, :3]}).items():
        first, broken, last = found.rows()
        assert broken.fault == "a gradient is not finite"
        for row, expected in ((first, before[name].rows()[0]), (last, before[name].rows()[2])):
            assert row.fault is None
            assert row.squared_norm == expected.squared_norm
            np.testing.assert_array_equal(row.singular_values, expected.singular_values)


def test_a_singular_gram_matrix_leaves_the_others_of_its_stack_untouched() -> None:
    shape = (WORTH_BLOCKS + 30, 250, 240)
    rows = [random_factors(*shape, seed=seed) for seed in range(3)]
    x, d = (torch.stack(each) for each in zip(*rows, strict=True))
    before = spectra_of_gradients(x, {"q": d})["q"].rows()
    x[1] = repeat(torch.Generator().manual_seed(0), x[1])
    after = spectra_of_gradients(x, {"q": d})["q"].rows()
    for row in (0, 2):
        np.testing.assert_array_equal(after[row].singular_values, before[row].singular_values)
    expected = torch.linalg.svdvals(d[1].T @ x[1])
    assert after[1].fault is None
    assert float(after[1].singular_values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7)


def test_a_row_without_any_gradient_has_norm_zero_in_its_stack() -> None:
    rows = [random_factors(20, 30, 25, seed=seed) for seed in range(2)]
    x, d = (torch.stack(each) for each in zip(*rows, strict=True))
    d[0] = 0
    nothing, other = spectra_of_gradients(x, {"q": d})["q"].rows()
    assert nothing.fault is None
    assert nothing.squared_norm == 0
    assert nothing.singular_values.tolist() == [0.0]
    alone = spectrum(x[1], d[1]).singular_values
    assert float((other.singular_values - alone).abs().max()) <= 1e-10 * float(alone[0])


def test_a_gradient_that_is_all_zero_has_norm_zero_and_no_fault() -> None:
    x, d = random_factors(6, 8, 5)
    for factors in ((x, 0 * d), (0 * x, d)):
        found = spectrum(*factors)
        assert found.fault is None
        assert found.squared_norm == 0
        assert float(found.singular_values.abs().sum()) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["x", "d"])
def test_factors_that_are_not_finite_are_a_fault(place: str, bad: float) -> None:
    x, d = random_factors(6, 8, 5)
    (x if place == "x" else d)[3, 2] = bad
    assert spectrum(x, d).fault == "a gradient is not finite"


def test_factors_too_large_to_be_squared_are_a_fault() -> None:
    x, d = random_factors(6, 8, 5)
    assert spectrum(1e100 * x, 1e100 * d).fault == "a gradient is not finite"


def test_singular_values_that_do_not_add_up_to_the_norm_are_a_fault() -> None:
    values = torch.tensor([4.0, 3.0], dtype=torch.float64)
    sizes = TokenSizes(7.0, 25.0)
    assert Spectrum(values, 25.0, sizes).fault is None
    assert Spectrum(values, 25.0 * (1 + 1e-10), sizes).fault is None
    assert Spectrum(values, 24.0, sizes).fault == "Σσ² is 25 but ‖G‖² is 24"
    assert Spectrum(values * 0, 1e-30, sizes).fault == "Σσ² is 0 but ‖G‖² is 1e-30"
    assert Spectrum(values, math.nan, sizes).fault == "a gradient is not finite"


def test_a_wrong_gram_factor_is_caught_by_the_free_check(monkeypatch: pytest.MonkeyPatch) -> None:
    x, d = random_factors(6, 8, 7)
    assert spectrum(x, d).fault is None
    right = Inputs(x[None]).gram_factor
    monkeypatch.setattr(Inputs, "gram_factor", right * 1.001)
    fault = spectrum(x, d).fault
    assert fault is not None
    assert fault.startswith("Σσ² is")
