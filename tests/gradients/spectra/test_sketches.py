"""Sketches keep the cosines of gradients, and are the same wherever they are taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.spectra import sketches
from gradpipe.gradients.spectra.inner_products import Gradient
from gradpipe.gradients.spectra.sizes import SIDE, SKETCH_VALUES
from gradpipe.gradients.spectra.sketches import STEPS, Sketcher, fold_map, kept_sketch
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from tests.gradients.twins import naive, projection_gradients


def matrix_of_map(width: int, to: int, folded: str) -> np.ndarray:
    """A fold as a matrix [width, to]; what is not wider is not folded."""
    if width <= to:
        return np.eye(width)
    places, signs = fold_map(width, to, folded)
    found = np.zeros((width, to))
    for of_places, of_signs in zip(places, signs, strict=True):
        for column, (place, sign) in enumerate(zip(of_places, of_signs, strict=True)):
            found[place, column] += sign
    return found


def slow_sketch(gradient: np.ndarray) -> np.ndarray:
    """PᵀGQ and its fold, by matrices."""
    d_out, d_in = gradient.shape
    p, q = matrix_of_map(d_out, SIDE, "outputs"), matrix_of_map(d_in, SIDE, "inputs")
    small = (p.T @ gradient @ q).ravel()
    found: np.ndarray = small @ matrix_of_map(len(small), SKETCH_VALUES, "both")
    return found


def random_gradient(rows: int, tokens: int, d_out: int, d_in: int, seed: int = 0) -> Gradient:
    generator = torch.Generator().manual_seed(seed)
    x, d = (torch.randn(rows, tokens, width, generator=generator) for width in (d_in, d_out))
    return Gradient((d_out, d_in), x, d)


def sketch(gradient: Gradient) -> Tensor:
    return Sketcher().sketches({"q": gradient})["q"]


@pytest.mark.parametrize(("width", "to"), [(576, 192), (200, 192), (1000, 192), (5000, 512)])
def test_a_fold_puts_every_coordinate_in_one_of_sums_of_equal_size(width: int, to: int) -> None:
    found = matrix_of_map(width, to, "inputs")
    assert (np.abs(found).sum(axis=1) == 1).all()
    assert np.isin(found, (-1, 0, 1)).all()
    assert set(np.abs(found).sum(axis=0)) <= set(range(-(-width // to) + 1))
    assert abs(found.sum()) < 5 * width**0.5
    others = [matrix_of_map(width, to, each) for each in ("outputs", "both")]
    assert not any(np.array_equal(found, other) for other in others)


def test_the_maps_are_what_stored_sketches_were_taken_with() -> None:
    # A change of these makes every sketch in every store incomparable with new ones.
    places, signs = fold_map(576, 192, "inputs")
    assert places[0, :8].tolist() == [346, 505, 62, 137, 74, 456, 183, 22]
    assert signs[0, :8].tolist() == [1, -1, -1, 1, 1, 1, -1, -1]


@pytest.mark.parametrize("shape", [(200, 300), (192, 576), (40, 700), (3, 20)])
def test_factors_and_matrix_have_the_sketch_that_the_maps_define(shape: tuple[int, int]) -> None:
    gradient = random_gradient(3, 20, *shape)
    from_factors = sketch(gradient)
    matrix = gradient.formed()
    from_matrix = sketch(Gradient(shape, None, None, matrix))
    assert from_factors.shape == (3, SKETCH_VALUES)
    torch.testing.assert_close(from_factors, from_matrix, rtol=1e-4, atol=1e-3)
    for row in range(3):
        slow = slow_sketch(matrix[row].double().numpy())
        slow = np.pad(slow, (0, SKETCH_VALUES - len(slow)))
        np.testing.assert_allclose(from_factors[row], slow, rtol=1e-4, atol=1e-3)


def test_a_small_gradient_is_its_own_sketch() -> None:
    gradient = random_gradient(1, 9, 16, 32)
    found = sketch(gradient)
    torch.testing.assert_close(found, gradient.formed().flatten(1))


def test_cosines_are_unbiased_and_as_exact_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    # Rank one with a common side is the worst case, where the folded sides do not average; so is
    # one large column, which stays one however the sides are folded.
    generator = torch.Generator().manual_seed(1)
    side, left, right = (torch.randn(1, 1, 600, generator=generator) for _ in range(3))
    mixed = 0.6 * left / left.norm() + 0.8 * right / right.norm()
    narrow, other_narrow = (torch.randn(1, 1, 192, generator=generator) for _ in range(2))
    spike = torch.nn.functional.one_hot(torch.tensor([[5]]), 600).float()
    pairs = {
        "low rank": (Gradient((600, 600), left, side), Gradient((600, 600), mixed, side)),
        "one column": (
            Gradient((192, 600), spike, narrow),
            Gradient((192, 600), spike, other_narrow),
        ),
        "full rank": tuple(random_gradient(1, 300, 600, 600, seed) for seed in (2, 3)),
    }
    for one, other in pairs.values():
        exact = float(torch.cosine_similarity(_flat(one), _flat(other)))
        errors = []
        for seed in range(40):
            monkeypatch.setattr(sketches, "SEED", seed)
            errors.append(float(torch.cosine_similarity(sketch(one), sketch(other))) - exact)
        assert abs(np.mean(errors)) < 0.03
        assert np.std(errors) < 0.08


def _flat(gradient: Gradient) -> Tensor:
    assert gradient.x is not None
    assert gradient.d is not None
    return (gradient.d.mT @ gradient.x).flatten(1)


def test_what_is_kept_has_norm_one_in_whole_steps() -> None:
    raw = np.random.default_rng(0).normal(size=SKETCH_VALUES).astype(np.float32) * 1e-12
    kept = kept_sketch(raw, float(np.linalg.norm(raw)))
    assert kept is not None
    assert kept.dtype == np.float16
    assert (kept.astype(float) * STEPS == np.rint(kept.astype(float) * STEPS)).all()
    assert np.linalg.norm(kept.astype(float)) == pytest.approx(1, abs=0.005)
    assert kept_sketch(raw, 0.0) is None
    assert kept_sketch(None, 1.0) is None


def test_sketches_of_two_examples_have_the_cosine_of_their_gradients(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model("llama", torch.float64), make_rows((12, 6), (20, 3))
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    table = explode_matrices(pl.concat(extract_rows(loaded, rows, STANDARD)).lazy()).collect()
    gradients = []
    for row in rows:
        naive(model, row)
        gradients.append([projection_gradients(model, layer) for layer in range(3)])
    for layer in range(3):
        for name in "qkvo":
            one, other = table.filter(layer=layer, projection=name).sort("row")["sketch"]
            found = np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
            exact = torch.cosine_similarity(
                *(each[layer][name].flatten() for each in gradients), dim=0
            )
            assert found == pytest.approx(float(exact), abs=0.12)
