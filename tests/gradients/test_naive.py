"""Spectra from factors equal those of the naive twin: full weight gradients and a full SVD."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.run_batch import RowGradients, run_batch
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.spectra.workers import spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS, spectra_table
from tests.gradients.conftest import families
from tests.gradients.twins import Naive, naive

FAMILIES = (
    "llama",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "mistral",
    "olmo2",
    "phi3",
    "gpt2",
)
#: Tokens and response start: fewer tokens than any width, as many as hidden has, more than any.
SHAPES = ((5, 2), (19, 11), (32, 1), (32, 31), (60, 40))

#: Softmax in float32 whatever the model's dtype: float64 gains little.
FLOAT32_INSIDE = {"gemma2"}


def statistics(values: np.ndarray) -> dict[str, float]:
    shares = values[values > 0] / values.sum()
    return {
        "nuclear_norm": values.sum(),
        "spectral_norm": values[0],
        "sigma1_ratio": values[0] / values.sum(),
        "frobenius_norm": np.sqrt((values**2).sum()),
        "effective_rank": np.exp(-(shares * np.log(shares)).sum()),
    }


def statistics_of_table(
    table: pl.DataFrame, example: int
) -> dict[tuple[int, str], dict[str, float]]:
    rows = table.filter(pl.col("example") == example)
    return {(row["layer"], row["projection"]): row for row in rows.iter_rows(named=True)}


def assert_equal_to_naive(table: pl.DataFrame, twins: list[Naive], tolerance: float) -> None:
    for example, (loss, spectra) in enumerate(twins):
        found = statistics_of_table(table, example)
        assert found.keys() == spectra.keys()
        for place, values in spectra.items():
            assert found[place]["loss"] == pytest.approx(loss, rel=tolerance)
            for name, expected in statistics(values).items():
                # A zero that comes out as √eps weighs more in the effective rank: −p ln p.
                slack = 10 * tolerance if name == "effective_rank" else tolerance
                assert found[place][name] == pytest.approx(expected, rel=slack), (place, name)


def extract(model: Any, rows: list[TokenRow], **settings: Any) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, STANDARD, **settings))))


def assert_same_singular_values(
    values: Tensor, others: Tensor, factor_tolerance: float, tokens: int, width: int
) -> None:
    """Two spectra of one gradient differ by no more than float64 arithmetic on its factors allows.

    ``factor_tolerance`` is the relative difference of the factors that both were computed from,
    ``tokens`` and ``width`` are the largest T and the larger of d_in and d_out. How many zeros
    follow the other values is chance.

    The squares σ² are computed as eigenvalues of a symmetric product, so their errors are absolute:
    by Weyl's inequality none exceeds the norm of what rounding changed in that product. A product
    with inner dimension k is off by at most k·u relative to its factors (u = eps/2; Higham,
    Accuracy and Stability of Numerical Algorithms, 3.5). In units of u·σ1² the Gram matrices of D
    and X cost d_out + d_in ≤ 2·width, the Cholesky factor T + 1 (10.3), the two products of LᵀAL
    2·T, the eigenvalues about T, and setting eigenvalues below 4·eps to zero costs 8. The route by
    features costs less. Two such spectra therefore differ by

        |σ² − σ'²| ≤ δ = (2·width + 4·T + 9)·eps·σ1²,
        |σ − σ'| = |σ² − σ'²| / (σ + σ') ≤ min(√δ, δ / (σ + σ')).

    So a zero comes out as anything up to √δ, about 1e-7·σ1, and a large value is off by about
    1e-14·σ1. The sum takes ‖D‖·‖X‖ as σ1. It is up to 15·σ1 here, but rounding errors add up like
    the root of their number: σ² differ by at most 20·eps·σ1² as measured, where 85 is the
    smallest bound.
    """
    length = max(len(values), len(others))
    some, other = (np.pad(each.numpy(), (0, length - len(each))) for each in (values, others))
    largest = max(some[0], other[0])
    delta = (2 * width + 4 * tokens + 9) * np.finfo(np.float64).eps * largest**2
    rounding = delta / np.maximum(some + other, np.sqrt(delta))
    assert (np.abs(some - other) <= factor_tolerance * largest + rounding).all()


def projection_width(config: Any) -> int:
    """The larger side of a model's attention projections."""
    heads = config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return max(config.hidden_size, heads * head_width)


def run(model: Any, rows: list[TokenRow]) -> list[RowGradients]:
    with frozen(model), spectra_pool("cpu") as pool:
        return run_batch(model, find_projections(model), rows, pool)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_loss_on_two_turns_equals_the_naive_twin_in_float64(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model = make_model(family, torch.float64)
    turns = [(3, 4, 5, 11, 12), (2,), (7, 8, 30)]
    rows = [
        replace(row, start=mask[0], mask=mask)
        for row, mask in zip(make_rows((19, 11), (9, 2), (40, 7)), turns, strict=True)
    ]
    twins = [naive(model, row) for row in rows]
    assert_equal_to_naive(extract(model, rows), twins, 2e-7)
    for row, (loss, spectra) in zip(run(model, rows), twins, strict=True):
        assert row.loss == pytest.approx(loss, rel=1e-12)
        for place, expected in spectra.items():
            found = row.spectra[place].singular_values.numpy()
            assert found[0] == pytest.approx(expected[0], rel=1e-10)


@pytest.mark.parametrize("family", families(FAMILIES))
def test_every_statistic_equals_the_naive_twin_in_float64(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family, torch.float64), make_rows(*SHAPES)
    twins = [naive(model, row) for row in rows]
    # The table's singular values are float32: each is off by as much as 6e-8.
    in_table = 2e-6 if family in FLOAT32_INSIDE else 2e-7
    assert_equal_to_naive(extract(model, rows), twins, in_table)
    tolerance = 1e-6 if family in FLOAT32_INSIDE else 1e-10
    for found, (loss, spectra) in zip(run(model, rows), twins, strict=True):
        assert found.fault is None
        assert found.loss == pytest.approx(loss, rel=tolerance)
        for place, values in spectra.items():
            singular_values = found.spectra[place].singular_values
            squared_norm = found.spectra[place].squared_norm
            assert singular_values.sum().item() == pytest.approx(
                values.sum(), rel=max(tolerance, 1e-7)
            )
            assert singular_values[0].item() == pytest.approx(values[0], rel=tolerance)
            assert squared_norm == pytest.approx((values**2).sum(), rel=2 * tolerance)


@pytest.mark.parametrize("family", families(FAMILIES))
def test_float32_stays_within_a_ten_thousandth_of_the_naive_twin(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family), make_rows(*SHAPES)
    table = extract(model, rows)
    assert_equal_to_naive(table, [naive(model.double(), row) for row in rows], tolerance=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("family", families(FAMILIES))
def test_a_row_in_a_padded_batch_equals_the_row_alone(
    family: str,
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model = make_model(family, dtype)
    rows = make_rows((3, 1), (9, 4), (17, 2), (26, 25), (41, 20), seed=1)
    tolerance = 1e-5 if dtype == torch.float32 or family in FLOAT32_INSIDE else 1e-10
    width = projection_width(model.config)
    for together, row in zip(run(model, rows), rows, strict=True):
        [alone] = run(model, [row])
        assert together.loss == pytest.approx(alone.loss, rel=tolerance)
        assert together.spectra.keys() == alone.spectra.keys()
        for place, spectrum in alone.spectra.items():
            other = together.spectra[place]
            assert other.squared_norm == pytest.approx(spectrum.squared_norm, rel=2 * tolerance)
            values, others = spectrum.singular_values, other.singular_values
            assert float(others[0]) == pytest.approx(float(values[0]), rel=tolerance)
            assert_same_singular_values(values, others, tolerance, len(row.ids), width)


def test_rows_that_repeat_one_token_equal_the_naive_twin(make_model: Callable[..., Any]) -> None:
    model = make_model("llama", torch.float64)
    rows = [
        TokenRow([7] * 20, 10, False),
        TokenRow([7, 8, 9] * 8, 12, False),
        TokenRow([5, 6, *[7] * 30], 2, False),
    ]
    assert_equal_to_naive(extract(model, rows), [naive(model, row) for row in rows], 1e-6)


def test_batches_of_any_budget_give_the_same_table(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model = make_model("llama", torch.float64)
    rows = make_rows(*((12 + number % 5, 6) for number in range(9)))
    tables = [extract(model, rows, budget=budget) for budget in (1, 40, 1000)]
    for name in ("loss", *EXTRACT_STATISTICS):
        for table in tables[1:]:
            np.testing.assert_allclose(table[name], tables[0][name], rtol=2e-7)
