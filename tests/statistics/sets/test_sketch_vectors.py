"""Whole gradients from sketches against dense float64 gradients of autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from gradpipe.errors import DataError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.statistics.sets.sketch_vectors import sketch_vectors
from gradpipe.statistics.sets.target_alignment import TARGET_COLUMNS, target_set
from tests.gradients.conftest import make_model, make_rows, one_thread

__all__ = ["make_model", "make_rows", "one_thread"]
SHAPES = ((9, 3), (12, 5), (20, 4), (7, 6), (15, 9), (30, 10))


def dense(model: Any, rows: list[TokenRow]) -> NDArray[np.float64]:
    """The whole gradients [n, entries] of the attention's matrices, in float64."""
    matrices = [
        model.get_parameter(name)
        for name, _ in model.named_parameters()
        if name.endswith(tuple(f"self_attn.{role}_proj.weight" for role in "qkvo"))
    ]
    gradients = []
    for row in rows:
        logits = model(torch.tensor([row.ids])).logits[0, row.start - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row.ids[row.start :]))
        parts = torch.autograd.grad(loss, matrices)
        gradients.append(torch.cat([part.flatten() for part in parts]).numpy())
    return np.stack(gradients)


def cosines(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (left, right)]
    product: NDArray[Any] = unit[0] @ unit[1].T
    return product


@pytest.fixture
def sample(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Extracted rows of a small model, and their whole gradients."""
    # Matrices of 16 × 32 and 16 × 16 have at most 512 entries, so sketches are exact but rounded.
    model = make_model("llama", hidden_size=16, num_attention_heads=2, dtype=torch.float64)
    rows = make_rows(*SHAPES)
    exact = dense(model, rows)
    loaded = LoadedModel(name="", fingerprint="", model=model, tokenizer=None, device="cpu")
    return pl.concat(extract_rows(loaded, rows, STANDARD)), exact


def test_small_gradients_are_exact_but_for_the_rounding_of_sketches(
    sample: tuple[pl.DataFrame, NDArray[np.float64]],
) -> None:
    frame, exact = sample
    vectors = sketch_vectors(frame)
    assert vectors.rows.tolist() == list(range(len(SHAPES)))
    assert vectors.norms == pytest.approx(np.linalg.norm(exact, axis=1), rel=2e-3)
    found = vectors.cosines(vectors.directions)
    assert found == pytest.approx(cosines(exact, exact), abs=4e-3)


def test_wide_gradients_agree_within_the_error_of_sketches(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model = make_model("llama", hidden_size=96, num_hidden_layers=4)
    rows = make_rows(*[(n, n // 2) for n in range(6, 26)])
    loaded = LoadedModel(name="", fingerprint="", model=model, tokenizer=None, device="cpu")
    exact = dense(model.double(), rows)
    vectors = sketch_vectors(pl.concat(extract_rows(loaded, rows, STANDARD)))
    pairs = np.triu_indices(len(rows), 1)
    for directions, most in ((vectors.directions, 0.04), (vectors.folded(), 0.06)):
        error = (directions @ directions.T - cosines(exact, exact))[pairs]
        assert np.sqrt(np.mean(error**2)) < most
        assert np.linalg.norm(directions, axis=1) == pytest.approx(1, abs=1e-5)


def test_target_cosines_are_those_with_the_mean_and_the_most_similar_gradient(
    sample: tuple[pl.DataFrame, NDArray[np.float64]],
) -> None:
    frame, exact = sample
    target = target_set([frame.filter(pl.col("row") < 2)], "target.json")
    found = target.alignment(sketch_vectors(frame))
    mean = exact[:2].mean(0, keepdims=True)
    assert found["row"].to_list() == list(range(len(SHAPES)))
    expected = [cosines(exact, mean)[:, 0], cosines(exact, exact[:2]).max(1)]
    for name, values in zip(TARGET_COLUMNS, expected, strict=True):
        assert found[name].to_numpy() == pytest.approx(values, abs=4e-3)


def test_a_zero_gradient_has_no_direction(
    sample: tuple[pl.DataFrame, NDArray[np.float64]],
) -> None:
    frame, _ = sample
    whole = pl.col("matrices").list.eval(
        pl.element().struct.with_fields(
            pl.lit(0.0).alias("frobenius_norm"), pl.lit(None, pl.List(pl.Float16)).alias("sketch")
        )
    )
    zeroed = frame.with_columns(pl.when(pl.col("row") == 1).then(whole).otherwise("matrices"))
    assert sketch_vectors(zeroed).rows.tolist() == [0, 2, 3, 4, 5]
    with pytest.raises(DataError, match="target.json"):
        target_set([zeroed.filter(pl.col("row") == 1)], "target.json")
    assert len(sketch_vectors(pl.DataFrame(schema=ROW_SCHEMA)).rows) == 0


def test_a_target_of_another_model_is_refused(
    sample: tuple[pl.DataFrame, NDArray[np.float64]],
) -> None:
    frame, _ = sample
    fewer = frame.with_columns(pl.col("matrices").list.head(4))
    target = target_set([fewer], "target.json")
    with pytest.raises(DataError, match="12 matrices.* 4"):
        target.alignment(sketch_vectors(frame))


def test_rows_without_sketches_are_refused(
    sample: tuple[pl.DataFrame, NDArray[np.float64]],
) -> None:
    frame, _ = sample
    without = pl.col("matrices").list.eval(
        pl.element().struct.with_fields(pl.lit(None, pl.List(pl.Float16)).alias("sketch"))
    )
    with pytest.raises(DataError, match="sketches"):
        sketch_vectors(frame.with_columns(without))
