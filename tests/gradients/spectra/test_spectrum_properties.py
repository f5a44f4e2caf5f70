"""Spectra of any rank and scale equal those that NumPy finds in the whole gradient."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradpipe.gradients.spectra.spectrum import Spectra, spectra_of_gradients

#: Factors of one projection: sizes, rank of the inputs, powers of ten, and what becomes of rows.
FACTORS = st.fixed_dictionaries(
    {
        "tokens": st.integers(1, 48),
        "d_in": st.integers(1, 40),
        "d_out": st.integers(1, 40),
        "rank": st.integers(1, 40),
        "x_scale": st.floats(-30, 30),
        "d_scale": st.floats(-30, 30),
        "zero": st.sampled_from([0.0, 0.3, 0.9, 1.0]),
        "zero_inputs": st.sampled_from([0.0, 0.3, 1.0]),
        "repeated": st.booleans(),
        "single": st.booleans(),
        "uneven": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)
LARGEST: dict[str, Any] = {
    **{"tokens": 40, "d_in": 30, "d_out": 20, "rank": 30, "zero": 0.0, "zero_inputs": 0.0},
    **{"repeated": False, "single": False, "uneven": False, "seed": 0},
}


def factors(
    tokens: int,
    d_in: int,
    d_out: int,
    rank: int,
    x_scale: Any,
    d_scale: Any,
    zero: float,
    zero_inputs: float,
    repeated: bool,
    single: bool,
    uneven: bool,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """X [T, d_in] of at most ``rank`` and D [T, d_out], as a model might hand them over."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((tokens, rank)) @ random.standard_normal((rank, d_in))
    d = random.standard_normal((tokens, d_out))
    if repeated:
        x = x[random.integers(0, 1 + tokens // 3, tokens)]
    x[random.random(tokens) < zero_inputs] = 0
    d[random.random(tokens) < zero] = 0
    if uneven:
        # Each token has a scale of its own, so that one may drown all others.
        x_scale, d_scale = (random.uniform(-30, 30, (tokens, 1)) for _ in range(2))
    x, d = x * 10**x_scale, d * 10**d_scale
    return (x.astype(np.float32), d.astype(np.float32)) if single else (x, d)


def spectra(x: np.ndarray, ds: dict[str, np.ndarray]) -> dict[str, Spectra]:
    return spectra_of_gradients(
        torch.from_numpy(x)[None], {name: torch.from_numpy(d)[None] for name, d in ds.items()}
    )


def check(x: np.ndarray, d: np.ndarray, found: Spectra) -> None:
    """The spectrum is the slow one's, its energy that of the gradient, and it is not at fault."""
    gradient = d.astype(np.float64).T @ x.astype(np.float64)
    expected = np.linalg.svd(gradient, compute_uv=False)
    [spectrum] = found.rows()
    values = spectrum.singular_values.numpy()
    assert spectrum.fault is None
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (np.diff(values) <= 0).all()
    assert len(values) <= len(expected)
    # What is zero in truth comes out below √eps of the largest; sums differ in their order.
    padded = np.pad(values, (0, len(expected) - len(values)))
    np.testing.assert_allclose(padded, expected, rtol=0, atol=1e-7 * expected[0])
    assert values[0] == pytest.approx(expected[0], rel=1e-9, abs=0)
    assert values.sum() == pytest.approx(expected.sum(), rel=1e-6, abs=0)
    assert spectrum.squared_norm == pytest.approx((gradient**2).sum(), rel=1e-9, abs=0)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(FACTORS)
@example({**LARGEST, "x_scale": -30.0, "d_scale": -30.0})
@example({**LARGEST, "x_scale": 30.0, "d_scale": 30.0})
@example({**LARGEST, "x_scale": 30.0, "d_scale": -30.0, "single": True})
@example({**LARGEST, "x_scale": 0.0, "d_scale": 0.0, "rank": 1, "repeated": True})
@example({**LARGEST, "x_scale": 0.0, "d_scale": 0.0, "zero": 1.0})
@example({**LARGEST, "x_scale": 0.0, "d_scale": 0.0, "zero_inputs": 1.0})
def test_a_spectrum_of_any_rank_and_scale_is_numpys(shape: dict[str, Any]) -> None:
    x, d = factors(**shape)
    check(x, d, spectra(x, {"q": d})["q"])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(FACTORS, st.floats(-30, 30), st.integers(1, 20))
def test_projections_of_any_scales_that_share_their_inputs_do_not_mix(
    shape: dict[str, Any], scale: float, width: int
) -> None:
    x, first = factors(**shape)
    random = np.random.default_rng(shape["seed"] + 1)
    second = (random.standard_normal((len(x), width)) * 10**scale).astype(first.dtype)
    found = spectra(x, {"q": first, "k": second})
    check(x, first, found["q"])
    check(x, second, found["k"])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(FACTORS, st.floats(-20, 20))
def test_a_spectrum_follows_its_gradients_scale(shape: dict[str, Any], power: float) -> None:
    shape = {**shape, "x_scale": 0.0, "d_scale": 0.0, "single": False}
    x, d = factors(**shape)
    [one] = spectra(x, {"q": d})["q"].rows()
    [other] = spectra(x, {"q": d * 2.0 ** round(power)})["q"].rows()
    # Powers of two round nothing, so what is left is which eigenvalues count as zero.
    np.testing.assert_allclose(
        other.singular_values.numpy(),
        one.singular_values.numpy() * 2.0 ** round(power),
        rtol=1e-9,
        atol=1e-7 * float(one.singular_values[0]) * 2.0 ** round(power),
    )
