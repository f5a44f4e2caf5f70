"""Spectra from factors equal those of the naive twin: full weight gradients and a full SVD."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.run_batch import RowGradients, run_batch
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.spectra.workers import spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS, spectra_table
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
    loaded = LoadedModel("tiny", "", model, None, "cpu")  # type: ignore[arg-type]
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, STANDARD, **settings))))


def run(model: Any, rows: list[TokenRow]) -> list[RowGradients]:
    with frozen(model), spectra_pool("cpu") as pool:
        return run_batch(model, find_projections(model), rows, pool)


@pytest.mark.parametrize("family", FAMILIES)
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


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_stays_within_a_ten_thousandth_of_the_naive_twin(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family), make_rows(*SHAPES)
    table = extract(model, rows)
    assert_equal_to_naive(table, [naive(model.double(), row) for row in rows], tolerance=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_in_a_padded_batch_equals_the_row_alone(
    family: str,
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model = make_model(family, dtype)
    rows = make_rows((3, 1), (9, 4), (17, 2), (26, 25), (41, 20), seed=1)
    tolerance = 1e-5 if dtype == torch.float32 or family in FLOAT32_INSIDE else 1e-10
    for together, row in zip(run(model, rows), rows, strict=True):
        [alone] = run(model, [row])
        assert together.loss == pytest.approx(alone.loss, rel=tolerance)
        assert together.spectra.keys() == alone.spectra.keys()
        for place, spectrum in alone.spectra.items():
            other = together.spectra[place]
            values, others = spectrum.singular_values.numpy(), other.singular_values.numpy()
            assert other.squared_norm == pytest.approx(spectrum.squared_norm, rel=2 * tolerance)
            assert others[0] == pytest.approx(values[0], rel=tolerance)
            # A singular value that is truly zero comes out as anything below √eps of the largest.
            floor = max(tolerance, 2e-8) * values[0]
            width = max(len(values), len(others))
            padded = [np.pad(each, (0, width - len(each))) for each in (values, others)]
            assert np.abs(padded[0] - padded[1]).max() < floor


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
