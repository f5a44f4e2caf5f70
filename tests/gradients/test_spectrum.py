"""Singular values from factors equal those of the gradient itself, whatever the factors are."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from gradpipe.gradients.layers import layer_spectra
from gradpipe.gradients.spectrum import Inputs, Spectrum, spectrum_from_factors

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


def spectrum(x: Tensor, d: Tensor) -> Spectrum:
    return spectrum_from_factors(Inputs(x), d)


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
def test_inputs_shared_by_projections_give_what_fresh_ones_give(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, first = KINDS[kind](generator, *random_factors(20, 40, 30))
    shared = Inputs(x)
    for d in (first, first[:, :7], some(generator, first), first.flip(0), first):
        together, fresh = spectrum_from_factors(shared, d), spectrum(x, d)
        assert together.squared_norm == fresh.squared_norm
        np.testing.assert_array_equal(together.singular_values, fresh.singular_values)


def test_projections_of_a_layer_are_told_apart_by_their_inputs() -> None:
    x, d = random_factors(9, 12, 8)
    other, _ = random_factors(9, 12, 8, seed=1)
    found = layer_spectra({"q": (x, d), "k": (x, d[:, :4]), "o": (other, d)})
    for name, factors in {"q": (x, d), "k": (x, d[:, :4]), "o": (other, d)}.items():
        np.testing.assert_array_equal(
            found[name].singular_values, spectrum(*factors).singular_values
        )


def test_a_response_of_hundreds_of_tokens_is_as_exact_as_a_short_one() -> None:
    x, d = random_factors(300, 320, 310)
    x = repeat(torch.Generator().manual_seed(0), x)
    expected = torch.linalg.svdvals(d.T @ x)
    found = spectrum(x, d)
    assert found.fault is None
    assert float(found.singular_values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7)


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
    assert Spectrum(values, 25.0).fault is None
    assert Spectrum(values, 25.0 * (1 + 1e-10)).fault is None
    assert Spectrum(values, 24.0).fault == "Σσ² is 25 where ‖G‖² is 24"
    assert Spectrum(values * 0, 1e-30).fault == "Σσ² is 0 where ‖G‖² is 1e-30"
    assert Spectrum(values, math.nan).fault == "a gradient is not finite"


def test_a_wrong_gram_factor_is_caught_by_the_free_check() -> None:
    x, d = random_factors(6, 8, 7)
    inputs = Inputs(x)
    inputs.gram_factor = inputs.gram_factor * 1.001
    fault = spectrum_from_factors(inputs, d).fault
    assert fault is not None
    assert fault.startswith("Σσ² is")
